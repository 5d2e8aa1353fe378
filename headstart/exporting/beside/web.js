"use strict";
// How the page of `headstart export web` answers: the model runs here, in the browser. RUNTIME and MODEL are in the files beside this one.
const SIDES = [8, 4, 2, 1]; // parts of its size at which a large JPEG is looked at, as predict.py decodes it
const MOST = 16e6; // pixels that are read at once: more do not fit a phone's canvas
const CELLS = 7, COVER = 2, DIM = 0.6; // as headstart/evaluation/occlusion.py
let session = null, ort = null, shown = "";

async function unpack(text) {
  const letters = atob(text), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer());
}

async function ready() {
  if (session) return;
  if (!window.RUNTIME || !window.MODEL) throw new Error("runtime.js or model.js is missing beside this page: copy the folder again, whole.");
  if (typeof DecompressionStream === "undefined") throw new Error("This browser is too old for this page: it takes one of 2023 or later.");
  const address = URL.createObjectURL(new Blob([await unpack(RUNTIME.script)], { type: "text/javascript" }));
  ort = await import(address);
  URL.revokeObjectURL(address);
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = await unpack(RUNTIME.wasm);
  ort.env.logLevel = "error";
  session = await ort.InferenceSession.create(await unpack(MODEL.onnx), { executionProviders: ["wasm"] });
  RUNTIME = MODEL.onnx = null;
}

async function pixels(file, rough = false) {
  // The picture upright, its colours as they are stored, transparency over white: {data: RGB, width, height}. Rough: no larger than the network needs.
  const how = { imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none" };
  let bitmap;
  try { bitmap = await createImageBitmap(file, how); } catch (error) { return null; }
  if (bitmap.width * bitmap.height > MOST) {
    const scale = Math.sqrt(MOST / bitmap.width / bitmap.height);
    bitmap = await createImageBitmap(file, { ...how, resizeWidth: Math.floor(bitmap.width * scale), resizeHeight: Math.floor(bitmap.height * scale), resizeQuality: "high" });
  }
  const canvas = Object.assign(document.createElement("canvas"), { width: bitmap.width, height: bitmap.height });
  const paper = canvas.getContext("2d", { willReadFrequently: true });
  paper.fillStyle = "white"; paper.fillRect(0, 0, canvas.width, canvas.height);
  paper.drawImage(bitmap, 0, 0);
  const read = paper.getImageData(0, 0, canvas.width, canvas.height).data, first = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  const jpeg = first[0] === 0xff && first[1] === 0xd8, side = Math.min(canvas.width, canvas.height);
  return averaged(read, canvas.width, canvas.height, rough ? Math.max(1, Math.floor(side / MODEL.facts.near)) : jpeg ? SIDES.find((by) => by === 1 || side >= by * MODEL.facts.near) : 1);
}

function averaged(read, width, height, by) {
  // RGBA as RGB, each box of by x by pixels averaged.
  const across = Math.ceil(width / by), down = Math.ceil(height / by), data = new Uint8Array(across * down * 3);
  for (let row = 0; row < down; row++) {
    for (let column = 0; column < across; column++) {
      const right = Math.min((column + 1) * by, width), bottom = Math.min((row + 1) * by, height), sum = [0, 0, 0];
      for (let y = row * by; y < bottom; y++) for (let x = column * by; x < right; x++) for (let k = 0; k < 3; k++) sum[k] += read[4 * (y * width + x) + k];
      const count = (right - column * by) * (bottom - row * by);
      for (let k = 0; k < 3; k++) data[3 * (row * across + column) + k] = Math.floor(sum[k] / count + 0.5);
    }
  }
  return { data, width: across, height: down };
}

async function run(picture) {
  const given = new ort.Tensor("uint8", picture.data, [picture.height, picture.width, 3]);
  const out = await session.run({ picture: given });
  return { probabilities: Array.from(out.probabilities.data), distance: Number(out.distance.data[0]) };
}

function answer(found) {
  // As `answer` of predict.py.
  const facts = MODEL.facts, weighed = found.probabilities.map((share, k) => share * facts.factors[k]);
  const best = weighed.indexOf(Math.max(...weighed)), total = weighed.reduce((sum, value) => sum + value, 0);
  const order = found.probabilities.map((share, k) => [facts.classes[k], share]).sort((one, two) => two[1] - one[1]);
  return {
    error: "", label: facts.classes[best], probability: found.probabilities[best], ranked: order,
    unsure: facts.unsure === null ? null : weighed[best] / Math.max(total, 1e-12) < facts.unsure,
    unlike: facts.unlike === null ? null : found.distance > facts.unlike,
  };
}

function odds(found, k) {
  const others = found.probabilities.reduce((sum, share, at) => (at === k ? sum : sum + share), 0);
  return Math.log(Math.max(found.probabilities[k], 1e-30)) - Math.log(Math.max(others, 1e-30));
}

async function look(file, label) {
  // What counted for a class: parts of what the network sees are covered in turn (occlusion).
  const picture = await pixels(file, true), k = MODEL.facts.classes.indexOf(label), whole = odds(await run(picture), k);
  const side = Math.min(picture.width, picture.height) * MODEL.facts.crop, left = (picture.width - side) / 2, top = (picture.height - side) / 2;
  const edge = (start, cell) => Math.round(start + (cell * side) / CELLS), mean = [0, 0, 0];
  let count = 0;
  for (let y = edge(top, 0); y < edge(top, CELLS); y++) for (let x = edge(left, 0); x < edge(left, CELLS); x++, count++) for (let c = 0; c < 3; c++) mean[c] += picture.data[3 * (y * picture.width + x) + c];
  const total = new Float64Array(CELLS * CELLS), times = new Float64Array(CELLS * CELLS), data = new Uint8Array(picture.data.length);
  for (let row = 0; row <= CELLS - COVER; row++) {
    for (let column = 0; column <= CELLS - COVER; column++) {
      data.set(picture.data);
      for (let y = edge(top, row); y < edge(top, row + COVER); y++) for (let x = edge(left, column); x < edge(left, column + COVER); x++) for (let c = 0; c < 3; c++) data[3 * (y * picture.width + x) + c] = Math.round(mean[c] / count);
      const fell = whole - odds(await run({ ...picture, data }), k);
      for (let y = row; y < row + COVER; y++) for (let x = column; x < column + COVER; x++) { total[y * CELLS + x] += fell; times[y * CELLS + x] += 1; }
    }
    await new Promise((next) => setTimeout(next)); // the page stays alive
  }
  return darkened(picture, total.map((value, at) => Math.max(value / times[at], 0)), left, top, side);
}

function darkened(picture, counted, left, top, side) {
  const most = Math.max(...counted), small = Object.assign(document.createElement("canvas"), { width: CELLS, height: CELLS });
  const cells = new ImageData(CELLS, CELLS);
  counted.forEach((value, at) => { cells.data[4 * at + 3] = Math.round(255 * DIM * (1 - (most > 0 ? Math.sqrt(value / most) : 0))); });
  small.getContext("2d").putImageData(cells, 0, 0);
  const canvas = Object.assign(document.createElement("canvas"), { width: picture.width, height: picture.height }), paper = canvas.getContext("2d");
  const image = new ImageData(picture.width, picture.height);
  for (let at = 0; at < picture.width * picture.height; at++) { for (let c = 0; c < 3; c++) image.data[4 * at + c] = picture.data[3 * at + c]; image.data[4 * at + 3] = 255; }
  paper.putImageData(image, 0, 0);
  paper.imageSmoothingQuality = "high";
  paper.drawImage(small, left, top, side, side);
  paper.fillStyle = "rgba(0, 0, 0, " + DIM + ")";
  paper.beginPath(); paper.rect(0, 0, picture.width, picture.height); paper.rect(left, top, side, side); paper.fill("evenodd");
  return canvas.toDataURL("image/jpeg", 0.9);
}

window.model = {
  facts: async () => { await ready(); return { title: MODEL.facts.title, classes: MODEL.facts.classes, heat: MODEL.facts.classes.length > 1 }; },
  ask: async (file) => {
    const picture = await pixels(file);
    if (!picture) return { error: "this browser does not read such files" };
    const said = answer(await run(picture));
    if (shown) URL.revokeObjectURL(shown);
    shown = URL.createObjectURL(file);
    const plain = picture.data.every((value, at) => value === picture.data[at % 3]);
    return { ...said, picture: shown, remark: plain ? "One colour only: nothing to see, so the answer means nothing." : "" };
  },
  look,
};
