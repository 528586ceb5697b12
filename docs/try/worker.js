// The way of a photograph through the stages, away from the page's own thread. Nothing leaves the device.

import * as ort from "./ort.wasm.min.mjs";
import { frame, RULE } from "./framing.js";
import { interpret } from "./grading.js";
import { fromCanvas, resize } from "./pixels.js";
import { locate, moved } from "./positions.js";
import { assess, SIDE } from "./quality.js";

const UNDERSTOOD = [RULE, "familiarity-1", "mondrian-1"];
const MIN_SIDE = 32, MAX_PIXELS = 100_000_000;
const MOST_THREADS = 4;

const loaded = load();
loaded.then(
  ({ manifest }) => postMessage({ ready: { name: manifest.name, version: manifest.version, threads: ort.env.wasm.numThreads } }),
  (error) => postMessage({ error: { code: "model", message: String(error?.message ?? error) } }),
);

async function load() {
  const here = (name) => new URL(name, import.meta.url).href;
  ort.env.wasm.wasmPaths = { mjs: here("ort-wasm-simd-threaded.mjs"), wasm: here("ort-wasm-simd-threaded.wasm") };
  ort.env.wasm.numThreads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, MOST_THREADS) : 1;
  const manifest = await (await fetch(here("manifest.json"))).json();
  const unknown = (manifest.requires ?? []).find((name) => !UNDERSTOOD.includes(name));
  if (unknown) throw new Error(`the model requires ${unknown}, which this page does not know`);
  const session = await ort.InferenceSession.create(here("model.onnx"), { executionProviders: ["wasm"] });
  return { manifest, session };
}

/** The photograph upright, opaque and in sRGB, as the browser decodes it. */
async function decode(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  } catch {
    throw Object.assign(new Error("not an image that this browser reads"), { code: "decode" });
  }
  const { width, height } = bitmap;
  if (Math.min(width, height) < MIN_SIDE || width * height > MAX_PIXELS) {
    throw Object.assign(new Error(`${width} x ${height} pixels`), { code: "size" });
  }
  const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true, colorSpace: "srgb" });
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return fromCanvas(context.getImageData(0, 0, width, height));
}

async function predict(file) {
  const { manifest, session } = await loaded;
  const { input, uncertainty, positions, scale } = manifest;
  const begin = performance.now();
  const decoded = await decode(file);
  const isFramed = (manifest.requires ?? []).includes(RULE);
  const photograph = isFramed ? frame(decoded) : { pixels: decoded, ...decoded, crop: null };
  const small = resize(photograph.pixels, input.width, input.height);
  const isJudged = input.width === SIDE && input.height === SIDE;
  const quality = isJudged ? assess(photograph.pixels, small) : assess(photograph.pixels);
  const packed = small.data;
  const image = new ort.Tensor("uint8", packed, [1, input.height, input.width, 3]);
  const before = performance.now();
  const outputs = await session.run({ image });
  const inference = performance.now() - before;
  const map = outputs.lesion_map.data, [, height, width] = outputs.lesion_map.dims;
  const total = map.reduce((sum, value) => sum + value, 0);
  const result = interpret(outputs.grade_probs.data, outputs.count_probs.data, total, manifest, outputs.unfamiliarity?.data[0]);
  // Nothing is told of what shows no skin that the model knows.
  const showsSkin = !quality.reasons.includes("blank") && (result.unfamiliarity ?? 0) <= 1;
  if (manifest.close_up && showsSkin && outputs.close_up.data[0] >= manifest.close_up.threshold) quality.reasons.push("close_up");
  const found = locate(map, width, height, positions.threshold);
  const { crop } = photograph;
  return {
    ...result,
    abstained: quality.reasons.includes("blank") ? "blank" : result.abstained,
    level: uncertainty.level,
    labels: scale.labels,
    quality,
    image: { width: photograph.width, height: photograph.height, crop },
    lesions: crop ? moved(found, crop, photograph.width, photograph.height) : found,
    input: packed,
    timings: { inference, total: performance.now() - begin },
  };
}

onmessage = async ({ data: { id, file } }) => {
  try {
    postMessage({ id, result: await predict(file) });
  } catch (error) {
    postMessage({ id, error: { code: error.code ?? "model", message: String(error?.message ?? error) } });
  }
};
