// Photographs that come in: chosen, dropped, pasted, or taken by the machine's camera.

import { add, Offline } from "./api.js";
import { $, state, tell, toast } from "./state.js";
import { reason, t } from "./words.js";

const KINDS = /\.(jpe?g|jpe|jfif|png|webp|hei[cf]|hif)$/i;
const MB = 1e6;

/** Send photographs one after the other; the first one is opened. */
export async function take(files) {
  let opened = false;
  for (const file of files) {
    const name = file.name || "photograph";
    if (!file.type.startsWith("image/") && !KINDS.test(name)) toast(t("page.add.kind", { name }), true);
    else if (file.size > state.about.max_bytes) toast(t("page.add.large", { name, mb: Math.round(state.about.max_bytes / MB) }), true);
    else {
      try {
        const { id } = await add(name, file);
        tell("added", id);
        if (!opened) tell("open", id);
        opened = true;
      } catch (error) {
        const why = error instanceof Offline ? t("page.offline") : reason(error.code);
        toast(`${name}: ${why}`, true);
      }
    }
  }
}

export function start() {
  for (const id of ["choose", "choose-first"]) $(id).addEventListener("click", () => $("files").click());
  $("files").addEventListener("change", () => {
    take([...$("files").files]);
    $("files").value = "";
  });
  let inside = 0; // dragenter and dragleave come for every element
  const shows = (event) => event.dataTransfer?.types.includes("Files");
  addEventListener("dragenter", (event) => {
    if (!shows(event)) return;
    inside += 1;
    $("drop").hidden = false;
  });
  addEventListener("dragleave", () => {
    inside = Math.max(0, inside - 1);
    $("drop").hidden = !inside;
  });
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    inside = 0;
    $("drop").hidden = true;
    if (event.dataTransfer?.files.length) take([...event.dataTransfer.files]);
  });
  addEventListener("paste", (event) => {
    if (event.clipboardData?.files.length) take([...event.clipboardData.files]);
  });
  for (const id of ["camera-open", "camera-first"]) $(id).addEventListener("click", openCamera);
  $("camera").addEventListener("close", closeCamera);
  $("shoot").addEventListener("click", shoot);
  $("cameras").addEventListener("change", () => look($("cameras").value));
}

async function openCamera() {
  $("camera").showModal();
  $("camera-text").textContent = t("page.camera.hint");
  await look();
}

/** Show what a camera sees; without an id, the browser chooses one. */
async function look(id) {
  closeCamera();
  const video = { width: { ideal: 3840 }, height: { ideal: 2160 }, ...(id ? { deviceId: { exact: id } } : {}) };
  try {
    if (!navigator.mediaDevices) throw new Error("insecure");
    $("video").srcObject = await navigator.mediaDevices.getUserMedia({ video });
  } catch (error) {
    const why = error.message === "insecure" ? "insecure" : error.name === "NotAllowedError" ? "denied" : "none";
    $("camera-text").textContent = t(`page.camera.${why}`);
    $("shoot").disabled = true;
    return;
  }
  $("shoot").disabled = false;
  const cameras = (await navigator.mediaDevices.enumerateDevices()).filter((device) => device.kind === "videoinput");
  $("cameras").hidden = cameras.length < 2;
  $("cameras").replaceChildren(...cameras.map((device, n) => new Option(device.label || `${n + 1}`, device.deviceId)));
  $("cameras").value = $("video").srcObject.getVideoTracks()[0].getSettings().deviceId ?? "";
}

function closeCamera() {
  for (const track of $("video").srcObject?.getTracks() ?? []) track.stop();
  $("video").srcObject = null;
}

async function shoot() {
  const video = $("video");
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 });
  const stamp = new Date().toISOString().slice(0, 19).replace(/[:T]/g, "-");
  $("camera").close();
  take([new File([blob], `camera-${stamp}.jpg`, { type: "image/jpeg" })]);
}
