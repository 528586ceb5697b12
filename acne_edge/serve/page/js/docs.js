// The interface as the server's own OpenAPI document tells it. Nothing is loaded from elsewhere.

const make = (name, text = "", kind = "") => Object.assign(document.createElement(name), { textContent: text.replaceAll("`", ""), className: kind });

function schemaName(schema = {}) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.type === "array") return `${schemaName(schema.items)}[]`;
  return [schema.format ?? schema.type ?? (schema.const !== undefined ? JSON.stringify(schema.const) : "any")].flat().join(" or ");
}

function table(head, rows) {
  const element = make("table");
  const top = element.createTHead().insertRow();
  for (const text of head) top.append(Object.assign(make("th", text), { scope: "col" }));
  const body = element.createTBody();
  for (const row of rows) {
    const line = body.insertRow();
    row.forEach((text, n) => line.insertCell().append(n === 0 ? make("code", text) : text));
  }
  return element;
}

function operation(path, method, told) {
  const box = make("details", "", "operation");
  const head = make("summary");
  head.append(make("span", method.toUpperCase(), `method ${method}`), make("code", path), make("span", told.summary));
  box.append(head);
  if (told.description) box.append(make("p", told.description));
  const curl = ["curl"];
  if (told.security?.length !== 0) curl.push('-H "Authorization: Bearer $ACNE_EDGE_TOKEN"');
  if (told.requestBody) curl.push("--data-binary @photo.jpg -H Content-Type:image/jpeg");
  box.append(make("pre", `${curl.join(" \\\n     ")} \\\n     ${location.origin}${path}`));
  if (told.parameters?.length) {
    const rows = told.parameters.map((p) => [p.name, `${p.in}, ${schemaName(p.schema)}`, p.description ?? ""]);
    box.append(make("h3", "Parameters"), table(["name", "form", "meaning"], rows));
  }
  if (told.requestBody) {
    const rows = Object.entries(told.requestBody.content).map(([type, { schema }]) => [type, schema.properties ? "a form with one file" : schemaName(schema)]);
    box.append(make("h3", "Body"), make("p", told.requestBody.description), table(["type", "content"], rows));
  }
  const rows = Object.entries(told.responses).map(([status, { description, content = {} }]) => [
    status,
    Object.values(content).map(({ schema }) => schemaName(schema)).join(", "),
    description.replaceAll("`", ""),
  ]);
  box.append(make("h3", "Answers"), table(["status", "schema", "meaning"], rows));
  return box;
}

function schema(name, told) {
  const box = make("details", "", "operation");
  box.id = `schema-${name}`;
  const head = make("summary");
  head.append(make("code", name), make("span", told.description ?? ""));
  box.append(head);
  const required = new Set(told.required ?? []);
  const rows = Object.entries(told.properties ?? {}).map(([key, value]) => [key, schemaName(value) + (required.has(key) ? "" : ", optional"), value.description ?? ""]);
  box.append(rows.length ? table(["field", "form", "meaning"], rows) : make("pre", JSON.stringify(told, null, 2)));
  return box;
}

const openapi = await (await fetch("/openapi.json")).json();
document.getElementById("title").textContent = `${openapi.info.title} ${openapi.info.version}`;
document.getElementById("about").textContent = openapi.info.description.replaceAll("`", "");
for (const [path, methods] of Object.entries(openapi.paths))
  for (const [method, told] of Object.entries(methods)) document.getElementById("operations").append(operation(path, method, told));
for (const [name, told] of Object.entries(openapi.components.schemas)) document.getElementById("schemas").append(schema(name, told));
document.querySelector("details").open = true;
