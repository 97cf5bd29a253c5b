-- SPDX-License-Identifier: Apache-2.0
--- Metrics: the latencies of one request, from its row. Pure. Formulas and reasons: docs/metrics.md.
--
-- Everything is in ns and counts from the send (`row.send_ns`), so that neither the client's queue nor the making of a connection is
-- mistaken for the server; what is from the schedule says so. What cannot be known is nil: never 0.
local events = require "qlua.load.events"
local row = require "qlua.load.row"

local metrics = {}

--- The per-request figures that become distributions, in the order of a report.
metrics.NAMES = { "ttft", "ttfe", "ttfb", "ttfa", "tpot", "itl", "icl", "stall", "e2e", "total", "ttft_due", "e2e_due",
  "dispatch_lag", "queue", "connect" }

local IS_TEXT, HAS_CHOICES = events.IS_TEXT, events.HAS_CHOICES

-- One walk over the events: the four firsts, the last, and the gaps. Tokens of an event without text (half a character is
-- held back) belong to the next one with text: that is when they arrived.
local function walk(one)
  local found = { gaps = {}, weights = {}, arrivals = 0, held = 0 }
  for at_ns, kind, tokens in row.each_event(one) do
    if HAS_CHOICES[kind] then found.first_choice_ns = found.first_choice_ns or at_ns end
    found.held = found.held + (tokens or 0)
    if IS_TEXT[kind] then
      if kind == "content" then found.first_content_ns = found.first_content_ns or at_ns end
      if found.last_text_ns then
        found.gaps[#found.gaps + 1], found.weights[#found.weights + 1] = at_ns - found.last_text_ns, found.held
      else
        found.first_text_ns, found.first_weight = at_ns, found.held
      end
      found.last_text_ns, found.arrivals, found.held = at_ns, found.arrivals + 1, 0
    end
  end
  return found
end

local function since(at_ns, from_ns) return at_ns and at_ns - from_ns or nil end

local function largest(list)
  local most
  for _, value in ipairs(list) do most = math.max(most or value, value) end
  return most
end

--- Mean time per output token after the first: (last token - ttft) / (n - 1). Missing for n <= 1, and where nothing streamed.
function metrics.tpot(first_ns, last_ns, tokens)
  if not first_ns or not last_ns or not tokens or tokens <= 1 then return nil end
  return (last_ns - first_ns) / (tokens - 1)
end

--- The figures of one row.
-- @tparam table one a row (`qlua.load.row`)
-- @treturn table in ns: `ttfb ttfe ttft ttfa tpot stall e2e total ttft_due e2e_due dispatch_lag queue connect`, those that are known;
-- `gaps` between arrivals with text, `weights` how many tokens each brought (nil where the server does not say), `arrivals` how
-- many, `first_weight`; `tokens` and `tokens_source`, `prompt_tokens`; `send_ns`, `end_ns`, `first_ns`, `last_ns` as stamps
function metrics.of(one)
  local send_ns, found = row.send_ns(one), walk(one)
  local is_known = one.weight_source ~= nil
  local last_ns = found.last_text_ns or (not one.streamed and one.last_byte_ns) or nil
  local result = {
    send_ns = send_ns, end_ns = row.end_ns(one), first_ns = found.first_text_ns, last_ns = last_ns,
    ttfb = since(one.first_byte_ns, send_ns), ttfe = since(found.first_choice_ns, send_ns),
    ttft = since(found.first_text_ns, send_ns), ttfa = since(found.first_content_ns, send_ns),
    e2e = since(last_ns, send_ns), total = since(one.stream_end_ns or one.last_byte_ns, send_ns),
    queue = since(one.start_ns, one.queued_ns), connect = since(one.connect_ns, one.start_ns),
    gaps = found.gaps, weights = is_known and found.weights or nil, first_weight = is_known and found.first_weight or nil,
    stall = largest(found.gaps), arrivals = found.arrivals,
    tokens = one.completion_tokens, tokens_source = one.count_source, prompt_tokens = one.prompt_tokens,
  }
  if found.first_text_ns then result.tpot = metrics.tpot(found.first_text_ns, found.last_text_ns, one.completion_tokens) end
  if one.due_ns then
    result.dispatch_lag = send_ns - one.due_ns
    result.ttft_due, result.e2e_due = since(found.first_text_ns, one.due_ns), since(last_ns, one.due_ns)
  end
  return result
end

--- Calls `visit(ns, times)` for each inter-token latency: a gap that brought w tokens stands for w of gap / w each, since when
-- they were made within it is not known. Without known weights a gap is one event's, and the caller has to say so.
-- @tparam table figures of `metrics.of`
function metrics.each_itl(figures, visit)
  local weights = figures.weights
  for i, gap in ipairs(figures.gaps) do
    local weight = weights and weights[i] or not weights and 1 or 0
    if weight > 0 then visit(gap / weight, weight) end
  end
end

return metrics
