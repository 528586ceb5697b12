// Keeps the page's files, so that it works without a network after the first load, and lets it use threads. A new build has another
// VERSION, and its files take the place of the old ones as a whole.

importScripts("files.js"); // written by scripts/try-page: VERSION, FILES

const CACHE = `acne-edge-try-${self.VERSION}`;
const HEADERS = {
  "Cross-Origin-Opener-Policy": "same-origin", // these two: shared memory, so threads
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Content-Security-Policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' blob:; worker-src 'self'",
};

addEventListener("install", (event) => {
  event.waitUntil(keep().then(() => self.skipWaiting()));
});

addEventListener("activate", (event) => {
  event.waitUntil(forget().then(() => self.clients.claim()));
});

addEventListener("fetch", (event) => {
  if (event.request.method === "GET") event.respondWith(answer(event.request));
});

async function keep() {
  await (await caches.open(CACHE)).addAll(self.FILES.map((file) => new Request(file, { cache: "no-cache" })));
}

async function forget() {
  const old = (await caches.keys()).filter((name) => name.startsWith("acne-edge-try-") && name !== CACHE);
  await Promise.all(old.map((name) => caches.delete(name)));
}

/** What is kept, or the network's answer from this origin; nothing else is asked for anything. */
async function answer(request) {
  const url = new URL(request.url);
  if (url.origin !== location.origin) return Response.error();
  const kept = await (await caches.open(CACHE)).match(url.pathname.endsWith("/") ? `${url.pathname}index.html` : url.pathname);
  const found = kept ?? (await fetch(request));
  const headers = new Headers(found.headers);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  return new Response(found.body, { status: found.status, statusText: found.statusText, headers });
}
