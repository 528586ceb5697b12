// Turns the network's distributions into count, interval, grade, grade set and abstention, as acne_edge/grading.py.

const ABSURD = 1e6; // lesions

/**
 * One photograph's outputs on the model's own scale: gradeProbs [G], countProbs [K], the lesion map's sum, and how unfamiliar the
 * photograph is, which a model without `familiarity` does not tell.
 */
export function interpret(gradeProbs, countProbs, lesions, { scale, decoding, uncertainty, familiarity }, unfamiliarity) {
  const [head, counts] = [Array.from(gradeProbs), Array.from(countProbs)]; // float64 from here on
  const count = decodeCount(counts, lesions, decoding);
  const far = familiarity ? unfamiliarity / familiarity.threshold : 0;
  if (![...head, ...counts, far].every(Number.isFinite) || !(Math.abs(count) < ABSURD)) {
    throw new Error("the model's outputs are not finite numbers");
  }
  const banded = scale.lower.map((low, i) => sum(counts.slice(low, scale.lower[i + 1])));
  const mixed = head.map((p, i) => decoding.head_weight * p + (1 - decoding.head_weight) * banded[i]);
  const probs = temper(mixed, uncertainty.temperature);
  const grade = probs.indexOf(Math.max(...probs));
  const band = scale.lower.findLastIndex((low) => low <= Math.floor(count + 0.5));
  const [countQuantile, gradeQuantile] = [uncertainty.count_quantile, uncertainty.grade_quantile]
    .map((quantile) => (Array.isArray(quantile) ? quantile[band] : quantile));
  const plausible = [...probs.keys()].filter((i) => probs[i] >= 1 - gradeQuantile);
  return {
    count,
    interval: countInterval(counts, count, countQuantile),
    grade,
    gradeProbs: probs,
    gradeSet: plausible.includes(grade) ? plausible : [grade],
    abstained: far > 1 ? "unfamiliar" : probs[grade] < uncertainty.abstain_below ? "low_confidence" : null,
    unfamiliarity: familiarity ? far : null,
  };
}

function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}

function decodeCount(counts, lesions, { count, map_weight: share }) {
  const statistic = count === "median" ? median(counts) : sum(counts.map((p, k) => p * k));
  return (1 - share) * statistic + share * lesions;
}

/** The median of a distribution over counts; each is spread evenly over half a lesion on either side. */
function median(counts) {
  let k = 0, upTo = counts[0];
  while (upTo < 0.5 && k < counts.length - 1) upTo += counts[++k];
  const below = upTo - counts[k];
  return Math.min(Math.max(k - 0.5 + (0.5 - below) / Math.max(counts[k], 1e-12), 0), counts.length - 1);
}

function temper(probs, temperature) {
  const logits = probs.map((p) => Math.log(Math.max(p, 1e-12)) / temperature), top = Math.max(...logits);
  const weights = logits.map((logit) => Math.exp(logit - top)), total = sum(weights);
  return weights.map((weight) => weight / total);
}

/** The lowest and highest count whose nonconformity is at most `quantile`, widened to include `count`. */
function countInterval(counts, count, quantile) {
  let upTo = 0, low = counts.length, high = -1;
  counts.forEach((p, k) => {
    upTo += p;
    if (Math.abs(2 * (upTo - p / 2) - 1) > quantile) return;
    low = Math.min(low, k);
    high = k;
  });
  return [Math.min(low, Math.floor(count)), Math.max(high, Math.ceil(count))];
}
