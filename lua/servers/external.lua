-- SPDX-License-Identifier: Apache-2.0
--- External: a server that somebody else runs, at any OpenAI-compatible URL.
-- Nothing is started and nothing is stopped. Only the standard sampling fields are sent; put others the server
-- knows into `extra_body`, or name its engine beside the address (engine: vllm), which knows them.
local q = require "qlua"

return q.server {
  name = "external",
  summary = { en = "A server that is already running, at any OpenAI-compatible URL", zh = "已在运行的任意 OpenAI 兼容服务" },
  tested = {
    { version = "qlua sim", mode = "generate, loglikelihood, letter", seen = "run" },
  },
  capabilities = { generate = true, loglikelihood = true, letter = true },
  sampling = q.openai.standard_sampling, template_kwargs = true,

  check = function(variant)
    if variant.server.base_url or variant.server.unix_socket then return true end
    return nil, {
      kind = "config", text = ("variant '%s': server.base_url is missing (want the URL of the running server)"):format(variant.name),
      hint = "for instance base_url: http://127.0.0.1:8000/v1, or --url on the command line",
    }
  end,

  request = function(ask) return q.openai.request(ask, q.openai.standard_sampling) end,
  read = q.openai.read,
}
