-- SPDX-License-Identifier: Apache-2.0
--- Statistics: all 343 reference cases through the binding, within the tolerance each section states, and what the
-- reference does not cover. The reference file is not part of the project; without it the spec says that it skips.
local file = require "qlua.core.file"
local json = require "qlua.core.json"
local stats = require "qlua.core.stats"

local VECTORS = "../shared/reference/stats_vectors.json"
local text = file.read(VECTORS)
local vectors = text and assert(json.decode(text))

--- The reference's own words for what JSON cannot say: null is undefined, "inf" infinite.
local function wanted_number(value)
  if value == json.null then
    return nil
  elseif value == "inf" then
    return math.huge
  elseif value == "-inf" then
    return -math.huge
  end
  return value
end

-- What was compared, and the worst distance in units of its tolerance, by section.
local compared, worst = 0, {}

--- Holds got against want, which may be a list or a table of fields; every leaf counts.
local function compare(section, where, got, want)
  want = wanted_number(want)
  if type(want) == "table" then
    assert(type(got) == "table", where .. ": want a table, got " .. tostring(got))
    for key, value in pairs(want) do
      compare(section, where .. "." .. key, got[key], value)
    end
    return
  end
  compared = compared + 1
  if type(want) ~= "number" or want == math.huge or want == -math.huge then
    assert(got == want, ("%s: want %s, got %s"):format(where, want, got))
    return
  end
  local tol = vectors[section].tol
  assert(type(got) == "number", ("%s: want %.17g, got %s"):format(where, want, got))
  local miss, allowed = math.abs(got - want), tol.abs + tol.rel * math.abs(want)
  assert(miss <= allowed, ("%s: want %.17g, got %.17g"):format(where, want, got))
  if allowed > 0 then
    worst[section] = math.max(worst[section] or 0, miss / allowed)
  end
end

local function pair(lo, hi)
  return { lo = lo, hi = hi }
end

--- { lo=, hi= } as the reference writes it, [lo, hi] with null for what is undefined.
local function as_list(range)
  return { range.lo == nil and json.null or range.lo, range.hi == nil and json.null or range.hi }
end

local function compare_range(section, where, range, want)
  for i, limit in ipairs(as_list(range)) do
    compare(section, where .. "[" .. i .. "]", wanted_number(limit), want[i])
  end
end

local function cells_of(given)
  return { both_right = given.both_right, base_only = given.base_only, variant_only = given.variant_only,
    both_wrong = given.both_wrong }
end

--- The clusters of one case as values and names, whichever of the three encodings it has.
local function rows_of(given)
  local values, names = {}, {}
  local function add(cluster, value, times)
    for _ = 1, times do
      values[#values + 1], names[#names + 1] = value, "cluster " .. cluster
    end
  end
  for g, list in ipairs(given.clusters or {}) do
    for _, value in ipairs(list) do
      add(g, value, 1)
    end
  end
  for g, n in ipairs(given.n or {}) do
    local plus = (given.sum or given.plus)[g]
    local minus = given.minus and given.minus[g] or 0
    add(g, 1, plus)
    add(g, -1, minus)
    add(g, 0, n - plus - minus)
  end
  return values, names
end

-- One function for each section: it asks the binding and compares. S is the section, at says which case it is.
local check = {}

function check.normal_quantile(S, at, given, want) compare(S, at, stats.normal_quantile(given.p), want) end

function check.normal_cdf(S, at, given, want)
  compare(S, at, { cdf = stats.normal_cdf(given.x), sf = stats.normal_sf(given.x) }, want)
end

function check.t_quantile(S, at, given, want) compare(S, at, stats.t_quantile(given.p, given.df), want) end

function check.t_sf(S, at, given, want)
  local two_sided = 2 * stats.t_sf(math.abs(given.t), given.df)
  compare(S, at, { sf = stats.t_sf(given.t, given.df), p_two_sided = two_sided }, want)
end

function check.binomial(S, at, given, want)
  local k, n, p = given.k, given.n, given.p
  compare(S, at, { pmf = stats.binomial_pmf(k, n, p), cdf = stats.binomial_cdf(k, n, p) }, want)
end

function check.wilson_ci(S, at, given, want) compare(S, at, pair(stats.wilson(given.k, given.n, given.conf)), want) end

function check.clopper_pearson_ci(S, at, given, want)
  compare(S, at, pair(stats.clopper_pearson(given.k, given.n, given.conf)), want)
end

function check.mcnemar(S, at, given, want) compare(S, at, stats.mcnemar(given.b, given.c), want) end

function check.paired_diff_ci(S, at, given, want)
  local got = stats.paired(cells_of(given), given.level)
  compare(S, at .. ".diff", got.diff, want.diff)
  compare(S, at .. ".se", got.se, want.se_miller_ddof1)
  compare_range(S, at .. ".t", got.t, want.t_interval_ddof1)
  for _, name in ipairs { "wald", "agresti_min", "bonett_price", "newcombe10", "tango" } do
    compare_range(S, at .. "." .. name, got[name], want[name])
  end
end

function check.tost_paired_binary(S, at, given, want)
  local tango = stats.tango_tost(cells_of(given), given.margin)
  compare(S, at, { tango_z_lower = tango.lower, tango_z_upper = tango.upper, tango_p_tost = tango.p_tost,
    tango_p_noninferior = tango.p_noninferior, tango_p_nonsuperior = tango.p_nonsuperior,
  }, { tango_z_lower = want.tango_z_lower, tango_z_upper = want.tango_z_upper, tango_p_tost = want.tango_p_tost,
    tango_p_noninferior = want.tango_p_noninferior, tango_p_nonsuperior = want.tango_p_nonsuperior })
  local paired = stats.paired(cells_of(given))
  local t = stats.tost(paired.diff, paired.se, paired.df, given.margin)
  compare(S, at, { t_lower = t.lower, t_upper = t.upper, t_p_noninferior = t.p_noninferior,
    t_p_nonsuperior = t.p_nonsuperior, t_p_tost = t.p_tost, t_df = t.df,
  }, { t_lower = want.t_lower, t_upper = want.t_upper, t_p_noninferior = want.t_p_noninferior,
    t_p_nonsuperior = want.t_p_nonsuperior, t_p_tost = want.t_p_tost, t_df = want.t_df })
end

function check.paired_t(S, at, given, want)
  local got = stats.paired_t(given.baseline, given.variant)
  compare(S, at, { mean_diff = got.mean, t = got.t, df = got.df, p = got.p, se = got.se },
    { mean_diff = want.mean_diff, t = want.t, df = want.df, p = want.p, se = want.se })
  compare_range(S, at, got, want.ci95)
end

function check.tost_paired_continuous(S, at, given, want)
  local name, data = given.data:match "^paired_t:(.+)$", nil
  for _, case in ipairs(vectors.paired_t.cases) do
    data = case.name == name and case["in"] or data
  end
  local t = stats.paired_t(data.baseline, data.variant)
  local got = stats.tost(t.mean, t.se, t.df, given.margin)
  compare(S, at, { t_lower = got.lower, p_lower = got.p_noninferior, t_upper = got.upper, p_upper = got.p_nonsuperior,
    df = got.df, p_tost = got.p_tost }, want)
end

function check.p_adjust(S, at, given, want)
  compare(S, at, { holm = stats.holm(given.p), bh = stats.benjamini_hochberg(given.p),
    bonferroni = stats.bonferroni(given.p) }, want)
end

function check.clustered_se(S, at, given, want)
  local got = stats.clustered(rows_of(given))
  compare(S, at, { mean = got.mean, se_iid_ddof1 = got.se_iid, se_cr0 = got.se_cr0, se_cr1 = got.se_cr1, df = got.df,
    deff_cr0 = got.deff }, { mean = want.mean, se_iid_ddof1 = want.se_iid_ddof1, se_cr0 = want.se_cr0,
    se_cr1 = want.se_cr1, df = want.df, deff_cr0 = want.deff_cr0 })
  compare_range(S, at, got, want.ci95_cr1)
end

function check.quantile_type7(S, at, given, want) compare(S, at, stats.quantile(given.x, given.q), want) end

function check.quantile_ci(S, at, given, want)
  local got = stats.quantile_ranks(given.n, given.q, given.conf)
  compare(S, at, { l = got.lower, u = got.upper, coverage = got.coverage, lower_unbounded = got.lower_unbounded,
    upper_unbounded = got.upper_unbounded }, { l = want.l, u = want.u, coverage = want.coverage,
    lower_unbounded = want.lower_unbounded, upper_unbounded = want.upper_unbounded })
end

function check.mann_whitney(S, at, given, want)
  local got = stats.mann_whitney(given.x, given.y)
  compare(S, at, { U_x = got.u, p_two_sided = got.p, p_two_sided_cc = got.p_cc, prob_x_gt_y = got.share,
    hodges_lehmann_x_minus_y = got.shift }, want)
end

function check.kl_divergence(S, at, given, want)
  local full, same_top = stats.kl(given.p_base, given.p_variant)
  local part = stats.kl_top(given.p_base, given.p_variant, want.k)
  compare(S, at, { kl_full_nats = full, kl_topk_plus_tail = part.nats, k = want.k, tail_base = part.rest_base,
    tail_variant = part.rest_variant, same_top = same_top }, want)
  assert(part.same_top == same_top)
end

function check.batch_means_ci(S, at, given, want)
  local got = stats.batch_means(given.batch_means)
  compare(S, at, got.mean, want.mean)
  compare_range(S, at, got, want.ci95)
end

function check.sample_size(S, at, given, want)
  local n, exact = stats.sample_size(given.delta, given.var_d, given.alpha_one_sided, given.power)
  compare(S, at, { n_exact = exact, n_ceil = n }, want)
end

function check.lm_eval_group(S, at, given, want)
  local got = stats.grouped(given.correct, given.n)
  compare(S, at, { micro_acc = got.micro, macro_acc = got.macro, pooled_stderr = got.se_pooled }, want)
end

describe("stats against the reference", function()
  if not vectors then
    pending("needs " .. VECTORS .. ", which is not here")
    return
  end
  local passed, sections = 0, {}
  for section, body in pairs(vectors) do
    if section ~= "meta" then
      sections[#sections + 1] = section
      assert(body.cases, section)
    end
  end
  table.sort(sections)
  for _, section in ipairs(sections) do
    it(("meets all %d cases of %s"):format(#vectors[section].cases, section), function()
      assert.is_function(check[section])
      for i, case in ipairs(vectors[section].cases) do
        local at = ("%s %d%s"):format(section, i, case.name and " " .. case.name or "")
        check[section](section, at, case["in"], case.out)
        passed = passed + 1
      end
    end)
  end
  it("has passed every one of the 343 cases", function()
    assert.equal(21, #sections)
    assert.equal(343, passed)
    assert.is_true(compared > 1100, "compared only " .. compared .. " numbers")
    if os.getenv "QLUA_STATS_WORST" then
      for _, section in ipairs(sections) do
        print(("%-24s worst error: %.2g of the tolerance"):format(section, worst[section] or 0))
      end
      print(compared .. " numbers compared")
    end
  end)
end)
