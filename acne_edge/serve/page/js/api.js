// Asks the server. What it refuses is a Refusal, with the code for machines; a server that does not answer is an Offline.

export class Refusal extends Error {
  constructor(status, code, message, current) {
    super(message);
    Object.assign(this, { status, code, current });
  }
}
export class Offline extends Error {}

async function ask(path, options = {}) {
  let response;
  try {
    response = await fetch(path, options);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Offline(error.message);
  }
  const body = await response.json().catch((error) => {
    if (error.name === "AbortError") throw error;
    if (response.ok) throw new Offline(error.message); // cut off on its way
    return {};
  });
  if (!response.ok) {
    const { code = "error", message = response.statusText } = body.error ?? {};
    throw new Refusal(response.status, code, message, body.current);
  }
  return body;
}

const query = (values) => new URLSearchParams(values).toString();

export const about = () => ask("/study");
export const changes = (since, who, signal) => ask(`/study/changes?${query({ since, ...who })}`, { signal });
export const photograph = (id, who) => ask(`/study/photographs/${id}?${query(who)}`);
export const agreement = () => ask("/study/agreement");

export function keep(id, who, reading) {
  const body = JSON.stringify(reading);
  const keepalive = body.length < 60_000; // survives the end of the page; browsers allow it for short bodies only
  const options = { method: "PUT", headers: { "Content-Type": "application/json" }, body, keepalive };
  return ask(`/study/photographs/${id}/reading?${query(who)}`, options);
}

export function add(name, blob) {
  const options = { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: blob };
  return ask(`/study/photographs?${query({ name })}`, options);
}
