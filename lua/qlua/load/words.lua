-- SPDX-License-Identifier: Apache-2.0
--- Words: text of a known length for made-up prompts.
--
-- A tokenizer turns most common English words with the space before them into one token each, and never joins across
-- that space. So a text of n such words has n tokens, whatever the tokenizer, once the words that it does cut have been sorted out:
-- `fit` asks the server's own tokenizer for that. Where a server has none, lengths are in words, and whoever reports them says so.

local words = {}

words.ALL = {}
for word in ([[
  able about above across act add after again age ago air all alone along also always among an and animal answer any appear apple
  area arm army around art as ask at away baby back bad bag ball bank base be bear beat bed before begin behind best better big
  bird black blood blow blue board boat body bone book born both box boy break bring brother build burn busy but buy by call came can
  car card care carry case catch cause cell center chair chance change check child choose church circle city class clean clear climb
  clock close cloud coast coat cold color come common cook cool copy corn corner cost count country course cover cow cross crowd cry
  cut dance dark day dead deal dear death deep did die direct do doctor dog dollar done door double down draw dream dress drink drive
  drop dry during each ear early earth east easy eat edge egg eight end enemy enough enter equal even event ever every exact eye face
  fact fall family far farm fast father favor fear feel feet fell few field fight figure fill final find fine finger finish fire first
  fish fit five flat floor flow flower fly follow food foot for force forest form forward found four free fresh friend from front fruit
  full fun game garden gas gave get girl give glad glass go gold good got govern grand grass gray great green grew ground group grow
  guess guide gun hair half hand happen happy hard has hat have he head hear heart heat heavy held help her here high hill him his hit
  hold hole home hope horse hot hour house how huge human hundred hurry ice idea if in inch insect is island it job join joy jump just
  keep kept key kill kind king knew know lady lake land language large last late laugh law lay lead learn least leave led left leg
  less let letter level lie life lift light like line list listen little live long look lost lot loud love low machine made main make
  man many map mark market master matter may me mean meat meet men metal method middle might mile milk million mind mine minute miss
  mix modern moment money month moon more morning most mother mount mountain mouth move much music must my name nation nature near
  neck need never new next night nine no noise noon nor north nose note nothing notice now number object ocean of off office often oil
  old on once one only open or order other our out over own page paint pair paper parent part party pass past path pay people perhaps
  person phrase pick picture piece place plain plan plane plant play please point poor port post pound power press pretty print
  problem produce proper protect prove pull push put quick quiet quite race radio rain raise ran range rather reach read ready real
  reason record red region rest rich ride right ring rise river road rock roll room root rope rose round row rule run safe said sail
  salt same sand save say school science sea season seat second see seed seem sell send sense sent separate serve set seven several
  shape share sharp she sheet ship shoe shop short should show side sign silver simple since sing single sister sit six size skill
  skin sky sleep slow small smell smile snow so soft soil some son song soon sound south space speak special speed spell spend spot
  spring square stand star start state stay steel step stick still stone stop store story straight strange stream street string
  strong student study such sudden sugar suit summer sun sure surface table tail take talk tall teach team teeth tell ten test than
  that the their them then there these they thick thin thing think third this those though thought three through throw thus tie time
  tiny to together told tone too took tool top total touch toward town track trade train travel tree triangle trip trouble truck true
  try turn twenty two type under unit until up us use usual valley value vary very view village visit voice wait walk wall want war
  warm was wash watch water wave way we wear weather week weight well went were west what wheel when where which while white who whole
  why wide wife wild will win wind window wing winter wire wish with woman wonder wood word work world would write wrong yard year
  yellow yes yet you young your]]):gmatch "%a+" do
  words.ALL[#words.ALL + 1] = word
end

--- Text of n words, drawn one by one; the first is always "the", which is one token also without a space before it.
-- @tparam {string,...} list
-- @tparam table generator
-- @tparam integer n
-- @treturn string
function words.text(list, generator, n)
  local drawn = { "the" }
  for i = 2, n do drawn[i] = list[generator:integer(#list)] end
  return table.concat(drawn, " ")
end

local BATCH = 64 -- words that one question to the tokenizer asks about

-- Those of a batch that are one token each: the whole, or, where some are not, by halves.
local function single(list, extra, count, into)
  local n, err = count(" " .. table.concat(list, " "))
  if not n then return nil, err end
  if n - extra == #list then
    table.move(list, 1, #list, #into + 1, into)
  elseif #list > 1 then
    local middle = #list // 2
    local ok
    ok, err = single(table.move(list, 1, middle, 1, {}), extra, count, into)
    if ok then ok, err = single(table.move(list, middle + 1, #list, 1, {}), extra, count, into) end
    if not ok then return nil, err end
  end
  return true
end

--- The words that a tokenizer takes as one token each.
-- @tparam function count text → number of tokens, or nil and err
-- @treturn ?table `{ list, extra }`: the words, and the tokens that every text has beside its words (a beginning mark); nil and err
--   when the tokenizer does not answer, or knows too few of them (below 100) for varied text
function words.fit(count)
  -- What a text costs beside its words: two words against one of them twice over.
  local one, err = count " the"
  if not one then return nil, err end
  local two
  two, err = count " the the"
  if not two then return nil, err end
  local extra, list = 2 * one - two, {}
  if two - one ~= 1 then return nil, { kind = "server", text = "the server's tokenizer does not take 'the' as one token" } end
  for first = 1, #words.ALL, BATCH do
    local batch = table.move(words.ALL, first, math.min(first + BATCH - 1, #words.ALL), 1, {})
    local ok
    ok, err = single(batch, extra, count, list)
    if not ok then return nil, err end
  end
  if #list < 100 then
    return nil, { kind = "server",
      text = ("the server's tokenizer takes only %d of %d common words as one token"):format(#list, #words.ALL) }
  end
  return { list = list, extra = extra }
end

return words
