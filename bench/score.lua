-- SPDX-License-Identifier: Apache-2.0
--- What the bare client and qlua both do in Lua with each plain reply of the mock: decode it, take the letter, compare.
-- @tparam function decode JSON text → value
-- @treturn function body → is the answer B?
return function(decode)
  return function(body)
    local content = decode(body).choices[1].message.content
    return content:match "answer is (%u)" == "B"
  end
end
