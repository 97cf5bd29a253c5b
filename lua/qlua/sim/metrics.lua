-- SPDX-License-Identifier: Apache-2.0
--- Metrics: /metrics in Prometheus' text form, under vLLM's names.
-- Counts of requests come from the transport; times are the planned ones, in the histograms that vLLM keeps.

local metrics = {}

local BUCKETS = { 0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 10, 30, 60 }

local HISTOGRAMS = {
  { "vllm:time_to_first_token_seconds", "Histogram of time to first token in seconds." },
  { "vllm:inter_token_latency_seconds", "Histogram of inter-token latency in seconds." },
  { "vllm:e2e_request_latency_seconds", "Histogram of e2e request latency in seconds." },
  { "vllm:request_queue_time_seconds", "Histogram of time spent in WAITING phase for request." },
  { "vllm:request_prefill_time_seconds", "Histogram of time spent in PREFILL phase for request." },
  { "vllm:request_decode_time_seconds", "Histogram of time spent in DECODE phase for request." },
}

--- An empty set.
function metrics.new(model)
  local self = { model = model, prompt_tokens = 0, generation_tokens = 0, queries = 0, hits = 0, histograms = {} }
  for _, named in ipairs(HISTOGRAMS) do
    local counts = {}
    for i = 1, #BUCKETS do counts[i] = 0 end
    self.histograms[named[1]] = { counts = counts, sum = 0.0, count = 0 }
  end
  return self
end

local function observe(self, name, seconds, times)
  local histogram = self.histograms[name]
  histogram.count, histogram.sum = histogram.count + times, histogram.sum + seconds * times
  for i, edge in ipairs(BUCKETS) do
    if seconds <= edge then histogram.counts[i] = histogram.counts[i] + times end
  end
end

--- Note one answered request.
-- @tparam table self
-- @tparam integer prompt_tokens
-- @tparam integer generated
-- @tparam number ttft_ms planned
-- @tparam number decode_ms planned, after the first token
function metrics.note(self, prompt_tokens, generated, ttft_ms, decode_ms)
  self.prompt_tokens = self.prompt_tokens + prompt_tokens
  self.generation_tokens = self.generation_tokens + generated
  self.queries = self.queries + prompt_tokens
  observe(self, "vllm:time_to_first_token_seconds", ttft_ms / 1e3, 1)
  observe(self, "vllm:request_queue_time_seconds", 0, 1)
  observe(self, "vllm:request_prefill_time_seconds", ttft_ms / 1e3, 1)
  observe(self, "vllm:request_decode_time_seconds", decode_ms / 1e3, 1)
  observe(self, "vllm:e2e_request_latency_seconds", (ttft_ms + decode_ms) / 1e3, 1)
  if generated > 1 then
    observe(self, "vllm:inter_token_latency_seconds", decode_ms / 1e3 / (generated - 1), generated - 1)
  end
end

--- The page.
-- @tparam table self
-- @tparam table stats of the transport
-- @treturn string
function metrics.page(self, stats)
  local lines, label = {}, ('engine="0",model_name="%s"'):format(self.model:gsub('[\\"\n]', "\\%0"))
  local function put(format, ...) lines[#lines + 1] = format:format(...) end
  local function single(name, kind, help, value, more)
    put("# HELP %s %s", name, help)
    put("# TYPE %s %s", name, kind)
    put("%s{%s%s} %s", name, more or "", label, value)
  end
  single("vllm:num_requests_running", "gauge", "Number of requests in model execution batches.", stats.running .. ".0")
  single("vllm:num_requests_waiting", "gauge", "Number of requests waiting to be processed.", stats.waiting .. ".0")
  single("vllm:kv_cache_usage_perc", "gauge", "KV-cache usage. 1 means 100 percent usage.", "0.0")
  single("vllm:prefix_cache_queries_total", "counter", "Prefix cache queries, in terms of number of queried tokens.",
    self.queries .. ".0")
  single("vllm:prefix_cache_hits_total", "counter", "Prefix cache hits, in terms of number of cached tokens.", self.hits .. ".0")
  single("vllm:prompt_tokens_total", "counter", "Number of prefill tokens processed.", self.prompt_tokens .. ".0")
  single("vllm:generation_tokens_total", "counter", "Number of generation tokens processed.", self.generation_tokens .. ".0")
  single("vllm:request_success_total", "counter", "Count of successfully processed requests.", stats.stopped .. ".0",
    'finished_reason="stop",')
  put('vllm:request_success_total{finished_reason="length",%s} %d.0', label, stats.cut)
  put('vllm:request_success_total{finished_reason="abort",%s} %d.0', label, stats.cancelled)
  single("qlua_sim:event_lateness_p99_seconds", "gauge", "Actual minus planned send of an event, upper edge of a power of two.",
    ("%.9f"):format(stats.late_p99_ns / 1e9))
  single("qlua_sim:event_lateness_max_seconds", "gauge", "Largest of them.", ("%.9f"):format(stats.late_max_ns / 1e9))
  for _, named in ipairs(HISTOGRAMS) do
    local name, histogram = named[1], self.histograms[named[1]]
    put("# HELP %s %s", name, named[2])
    put("# TYPE %s histogram", name)
    for i, edge in ipairs(BUCKETS) do put('%s_bucket{%s,le="%s"} %d.0', name, label, edge, histogram.counts[i]) end
    put('%s_bucket{%s,le="+Inf"} %d.0', name, label, histogram.count)
    put("%s_sum{%s} %.9g", name, label, histogram.sum)
    put("%s_count{%s} %d.0", name, label, histogram.count)
  end
  return table.concat(lines, "\n") .. "\n"
end

return metrics
