-- SPDX-License-Identifier: Apache-2.0
--- How often the intervals are right: `build/release/qlua lua bench/coverage.lua`; docs/statistics.md has the figures.
-- What can be counted is counted: proportions and pairs of variants have so few outcomes that each is taken with its
-- exact probability, and no simulation error remains. The rest is simulated with a fixed seed.
local pairing = require "qlua.summary.pairs"
local stats = require "qlua.core.stats"

local LEVEL = 0.95
math.randomseed(20261123)

local function line(...) print(string.format(...)) end
local function percent(x) return 100 * x end

-- ---- one proportion, exact ---------------------------------------------------------------------------------

local function coverage_of(interval, n, p)
  local covered = 0
  for k = 0, n do
    local lo, hi = interval(k, n, LEVEL)
    if lo <= p and p <= hi then
      covered = covered + stats.binomial_pmf(k, n, p)
    end
  end
  return covered
end

local function proportions()
  line "One proportion: coverage of a 95 %% interval over p = 0.005, 0.015 ... 0.995 (exact)"
  for _, n in ipairs { 20, 100, 400 } do
    local means, least = { 0, 0 }, { 1, 1 }
    for i, interval in ipairs { stats.wilson, stats.clopper_pearson } do
      for step = 0, 99 do
        local covered = coverage_of(interval, n, 0.005 + 0.01 * step)
        means[i], least[i] = means[i] + covered / 100, math.min(least[i], covered)
      end
    end
    line("n = %3d: Wilson %.1f %%, least %.1f %%; Clopper-Pearson %.1f %%, least %.1f %%", n, percent(means[1]),
      percent(least[1]), percent(means[2]), percent(least[2]))
  end
end

-- ---- pairs, exact ------------------------------------------------------------------------------------------

local METHODS = { "wald", "t", "agresti_min", "bonett_price", "newcombe10", "tango" }

--- Every count of flips and of harmful ones with more than 1e-10 of probability.
local function each_table(n, flips, diff, visit)
  local harmful = 0.5 * (flips - diff) / flips
  for both = 0, n do
    local outer = stats.binomial_pmf(both, n, flips)
    if outer > 1e-10 then
      for b = 0, both do
        local weight = outer * stats.binomial_pmf(b, both, harmful)
        if weight > 1e-10 then
          visit(b, both - b, weight)
        end
      end
    end
  end
end

--- Probabilities that an interval lies wholly above and wholly below the truth, and its mean width.
local function errors_of_pairs(n, flips, diff)
  local found = {}
  for _, name in ipairs(METHODS) do
    found[name] = { above = 0, below = 0, width = 0 }
  end
  each_table(n, flips, diff, function(b, c, weight)
    local wrong = (n - b - c) // 5 -- Newcombe alone asks how the agreements divide: four fifths of them right
    local cells = { both_right = n - b - c - wrong, base_only = b, variant_only = c, both_wrong = wrong }
    local got = stats.paired(cells, LEVEL)
    for _, name in ipairs(METHODS) do
      local range, sums = got[name], found[name]
      sums.above = sums.above + (range.lo > diff and weight or 0)
      sums.below = sums.below + (range.hi < diff and weight or 0)
      sums.width = sums.width + weight * (range.hi - range.lo)
    end
  end)
  return found
end

local function pairs_of_variants()
  line ""
  line "Paired difference: P(lower limit > truth) / P(upper limit < truth) in %%, nominal 2.5 / 2.5 (exact)"
  line("%6s %6s %6s  " .. ("%15s"):rep(#METHODS), "n", "flips", "diff", table.unpack(METHODS))
  for _, case in ipairs {
    { 200, 0.03, -0.01 }, { 200, 0.03, 0 }, { 200, 0.01, 0 },
    { 1319, 0.03, -0.01 }, { 1319, 0.03, 0 }, { 1319, 0.005, 0 }, { 1319, 0.08, -0.02 },
    { 10042, 0.01, -0.005 },
  } do
    local n, flips, diff = table.unpack(case)
    local found, cells = errors_of_pairs(n, flips, diff), {}
    for i, name in ipairs(METHODS) do
      cells[i] = ("%7.2f /%6.2f"):format(percent(found[name].above), percent(found[name].below))
    end
    line("%6d %5.1f%% %+5.1f   " .. ("%15s"):rep(#METHODS), n, percent(flips), percent(diff), table.unpack(cells))
  end
end

-- ---- pairs, as a run sees them -----------------------------------------------------------------------------

--- Scores of n questions for a baseline of 80 % and a variant with that many flips and that true difference.
local function simulated_pair(n, flips, diff)
  local baseline, variant, harm, help = {}, {}, 0.5 * (flips - diff) / 0.8, 0.5 * (flips + diff) / 0.2
  for i = 1, n do
    local right = math.random() < 0.8
    local flipped = math.random() < (right and harm or help)
    baseline[i] = right and 1 or 0
    variant[i] = right ~= flipped and 1 or 0
  end
  return stats.cells(baseline, variant)
end

local function verdicts()
  local PAIRS, N, MARGIN, ALPHA = 2000, 1319, 0.01, 0.025
  local spread = math.sqrt(ALPHA * (1 - ALPHA) / PAIRS)
  line ""
  line("%d simulated pairs of %d questions, margin %g pt, alpha %.1f %% (binomial error +-%.1f %%)", PAIRS, N,
    percent(MARGIN), percent(ALPHA), percent(2 * spread))
  for _, flips in ipairs { 0.02, 0.05 } do
    local false_ni, disagree, worse, better, mid_p = 0, 0, 0, 0, 0
    for _ = 1, PAIRS do
      local cells = simulated_pair(N, flips, -MARGIN)
      local shown = stats.tango_tost(cells, MARGIN).p_noninferior < ALPHA
      false_ni = false_ni + (shown and 1 or 0)
      disagree = disagree + (shown ~= (stats.paired(cells).tango.lo > -MARGIN) and 1 or 0)
      cells = simulated_pair(N, flips, 0)
      local range = stats.paired(cells).tango
      worse, better = worse + (range.hi < 0 and 1 or 0), better + (range.lo > 0 and 1 or 0)
      mid_p = mid_p + (stats.mcnemar(cells.base_only, cells.variant_only).p_midp < 2 * ALPHA and 1 or 0)
    end
    line("flips %.0f %%, truth at the margin: falsely non-inferior %.2f %%; test and interval disagree %d times",
      percent(flips), percent(false_ni / PAIRS), disagree)
    line("flips %.0f %%, no difference: called worse %.2f %%, better %.2f %%, McNemar mid-p below 5 %%: %.2f %%",
      percent(flips), percent(worse / PAIRS), percent(better / PAIRS), percent(mid_p / PAIRS))
  end
end

-- ---- the verdict: a suite of three datasets, one of them in groups -------------------------------------------

local ORDER = {}
for i = 1, 57 * 30 do ORDER[i] = i end

-- Pairs of a dataset as the verdict sees them; `spread` is how far the groups' true differences lie apart.
local function dataset_pairs(n, flips, diff, groups, spread)
  local p = { n = n, diffs = {}, slots = ORDER, cells = { both_right = 0, base_only = 0, variant_only = 0, both_wrong = 0 },
    known = { repeats = 1, group = {} }, has_groups = groups ~= nil }
  local own = diff
  for i = 1, n do
    if groups then
      p.known.group[i] = (i - 1) // (n // groups)
      if (i - 1) % (n // groups) == 0 then own = diff + spread * (math.random() - 0.5) end
    end
    local u = math.random()
    local d = u < (flips - own) / 2 and -1 or u < flips and 1 or 0
    p.diffs[i] = d
    local kind = d < 0 and "base_only" or d > 0 and "variant_only" or i % 5 == 0 and "both_wrong" or "both_right"
    p.cells[kind] = p.cells[kind] + 1
  end
  return p
end

local function suite_of(diff, margin, level)
  local found = {}
  for i, p in ipairs { dataset_pairs(660, 0.05, diff), dataset_pairs(1500, 0.03, diff), dataset_pairs(1710, 0.05, diff, 57, 0.04) } do
    found[i] = pairing.estimate(p, level, margin)
  end
  return pairing.mean(found, level, margin)
end

local function suites()
  local RUNS, MARGIN, ALPHA = 2000, 0.01, 0.025
  line ""
  line("Mean of three datasets (660, 1500, and 1710 questions in 57 groups whose true differences spread over 4 pt): %d runs", RUNS)
  local false_ni, family, covered, worse, better = 0, 0, 0, 0, 0
  for _ = 1, RUNS do
    local p = {}
    for v = 1, 3 do
      local found = suite_of(-MARGIN, MARGIN, 1 - 2 * ALPHA)
      p[v] = found.p_noninferior
      if v == 1 then
        false_ni = false_ni + (found.lo > -MARGIN and 1 or 0)
        covered = covered + (found.lo <= -MARGIN and found.hi >= -MARGIN and 1 or 0)
      end
    end
    family = family + (math.min(table.unpack(stats.holm(p))) < ALPHA and 1 or 0)
    local equal = suite_of(0, MARGIN, 1 - 2 * ALPHA)
    worse, better = worse + (equal.hi < 0 and 1 or 0), better + (equal.lo > 0 and 1 or 0)
  end
  line("truth at the margin: falsely non-inferior %.2f %%, coverage %.1f %%; any of three such variants, after Holm %.2f %%",
    percent(false_ni / RUNS), percent(covered / RUNS), percent(family / RUNS))
  line("no difference: called worse %.2f %%, better %.2f %% (binomial error +-%.1f %%)", percent(worse / RUNS), percent(better / RUNS),
    percent(2 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)))
end

-- ---- clusters ----------------------------------------------------------------------------------------------

local function clusters()
  local RUNS, CLUSTERS, ROWS = 1000, 57, 30
  local names = {}
  for i = 1, CLUSTERS * ROWS do
    names[i] = (i - 1) // ROWS
  end
  line ""
  line("Clustered mean: %d runs of %d clusters of %d rows, coverage of a 95 %% interval", RUNS, CLUSTERS, ROWS)
  for _, spread in ipairs { 0, 0.1, 0.3 } do
    local clustered, plain = 0, 0
    for _ = 1, RUNS do
      local values = {}
      for g = 0, CLUSTERS - 1 do
        local share = 0.5 + spread * (math.random() - 0.5)
        for i = 1, ROWS do
          values[g * ROWS + i] = math.random() < share and 1 or 0
        end
      end
      local got = stats.clustered(values, names)
      local lo, hi = stats.interval(got.mean, got.se_iid, got.n - 1)
      clustered = clustered + (got.lo <= 0.5 and 0.5 <= got.hi and 1 or 0)
      plain = plain + (lo <= 0.5 and 0.5 <= hi and 1 or 0)
    end
    line("cluster shares spread over %.2f: clustered %.1f %%, not clustered %.1f %%", spread, percent(clustered / RUNS),
      percent(plain / RUNS))
  end
end

-- ---- percentiles, replicates, bootstrap -----------------------------------------------------------------------

local function percentiles()
  local RUNS = 1000
  line ""
  line("Percentiles of an exponential: %d runs, coverage of a 95 %% interval", RUNS)
  for _, case in ipairs { { 100, 0.5 }, { 100, 0.95 }, { 400, 0.99 }, { 1319, 0.99 } } do
    local n, q = table.unpack(case)
    local truth, covered, unbounded = -math.log(1 - q), 0, 0
    for _ = 1, RUNS do
      local values = {}
      for i = 1, n do
        values[i] = -math.log(1 - math.random())
      end
      local got = stats.quantile_interval(values, q)
      covered = covered + (got.lo <= truth and truth <= got.hi and 1 or 0)
      unbounded = unbounded + (got.hi == math.huge and 1 or 0)
    end
    line("n = %d, p%g: %.1f %% (promised %.1f %%), no upper limit in %d", n, percent(q), percent(covered / RUNS),
      percent(stats.quantile_ranks(n, q).coverage), unbounded)
  end
end

local function normal() return stats.normal_quantile(1 - math.random()) end

local function replicates()
  local RUNS, TRUTH = 4000, 1.3
  line ""
  line("Throughput ratio %.1f from R runs of each variant, 1 %% noise: %d times, coverage of a 95 %% interval", TRUTH,
    RUNS)
  for _, R in ipairs { 3, 5, 10 } do
    local paired, welch, halves = 0, 0, 0
    for _ = 1, RUNS do
      local baseline, variant = {}, {}
      for i = 1, R do
        local shared = 0.02 * normal() -- both runs of a block meet the same machine
        baseline[i] = 100 * math.exp(shared + 0.01 * normal())
        variant[i] = 100 * TRUTH * math.exp(shared + 0.01 * normal())
      end
      local got, other = stats.log_ratio(baseline, variant), stats.welch_ratio(baseline, variant)
      paired = paired + (got.lo <= TRUTH and TRUTH <= got.hi and 1 or 0)
      welch = welch + (other.lo <= TRUTH and TRUTH <= other.hi and 1 or 0)
      halves = halves + (got.hi - got.lo) / (other.hi - other.lo) / RUNS
    end
    line("R = %2d: log ratio of pairs %.1f %%, Welch %.1f %%; the paired interval is %.2f as wide", R,
      percent(paired / RUNS), percent(welch / RUNS), halves)
  end
end

local function bootstraps()
  local RUNS, N, ROUNDS = 400, 500, 1000
  local truth, covered = 0.79 / 0.8, 0
  for run = 1, RUNS do
    local baseline, variant = {}, {}
    for i = 1, N do
      local right = math.random() < 0.8
      local flipped = math.random() < (right and 0.03 / 0.8 or 0.02 / 0.2)
      baseline[i], variant[i] = right and 1 or 0, right ~= flipped and 1 or 0
    end
    local got = stats.bootstrap({ baseline, variant }, { statistic = "ratio", rounds = ROUNDS, seed = run })
    covered = covered + (got.lo <= truth and truth <= got.hi and 1 or 0)
  end
  line ""
  line("Recovery ratio by paired bootstrap: %d runs of %d questions, %d rounds: coverage %.1f %%", RUNS, N, ROUNDS,
    percent(covered / RUNS))
end

proportions()
pairs_of_variants()
verdicts()
clusters()
percentiles()
replicates()
bootstraps()
suites()
