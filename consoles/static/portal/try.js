// Try-it forms: build the request from the fields, send it to the gateway, show the answer as text.
(function () {
  "use strict";
  const MOST = 65536;
  const all = (selector, root) => Array.from(root.querySelectorAll(selector));
  const keyBox = document.querySelector("#try-key");

  function element(name, text, kind) {
    const made = document.createElement(name);
    if (text) made.textContent = text;
    if (kind) made.className = kind;
    return made;
  }

  function request(form) {
    const free = (name) => form.querySelector(`[data-free=${name}]`);
    const method = free("method") ? free("method").value : form.dataset.method;
    let path = free("path") ? free("path").value : form.dataset.path;
    const query = [];
    const headers = {};
    all("[data-in]", form).forEach((field) => {
      const { in: place, name } = field.dataset;
      if (place === "path") path = path.replaceAll(`{${name}}`, encodeURIComponent(field.value));
      else if (field.value === "") return;
      else if (place === "query") query.push(`${encodeURIComponent(name)}=${encodeURIComponent(field.value)}`);
      else headers[name] = field.value;
    });
    if (keyBox && keyBox.value) headers[keyBox.dataset.header] = keyBox.value.trim();
    const body = form.querySelector("[data-body]");
    const sends = body && body.value && !["GET", "HEAD"].includes(method);
    if (sends) headers["content-type"] = body.dataset.body;
    const base = (form.dataset.base || "").replace(/\/$/, "");
    if (!path.startsWith("/")) path = `/${path}`;
    if (base && path !== base && !path.startsWith(`${base}/`)) path = base + path;
    return { method, url: form.dataset.origin + path + (query.length ? `?${query.join("&")}` : ""), headers, body: sends ? body.value : undefined };
  }

  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;
  function curl(call) {
    const parts = ["curl"];
    if (call.method === "HEAD") parts.push("-I"); else if (call.method !== "GET") parts.push("-X", call.method);
    Object.entries(call.headers).forEach(([name, value]) => parts.push("-H", quoted(`${name}: ${value}`)));
    if (call.body !== undefined) parts.push("--data", quoted(call.body));
    return parts.concat(quoted(call.url)).join(" ");
  }

  function show(form, status, colour, facts, text) {
    const box = form.querySelector("[data-result]");
    const head = element("div", "", "try-head");
    head.append(element("span", status, `badge bg-${colour}-lt`), element("span", facts, "text-secondary"));
    const parts = [head];
    if (text) { const body = element("pre", text, "snippet"); body.tabIndex = 0; parts.push(body); }
    box.replaceChildren(...parts);
    box.hidden = false;
  }

  async function readSome(response) {
    const text = await response.text();
    let shown = text;
    if (/json/.test(response.headers.get("content-type") || "")) {
      try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { shown = text; }
    }
    return shown.length > MOST ? `${shown.slice(0, MOST)}\n… (${text.length} characters)` : shown;
  }

  async function send(form) {
    const button = form.querySelector("button");
    const began = performance.now();
    button.disabled = true;
    try {
      const call = request(form);
      const response = await fetch(call.url, { method: call.method, headers: call.headers, body: call.body, credentials: "omit", redirect: "follow", cache: "no-store" });
      const text = await readSome(response);
      const colour = response.status < 300 ? "green" : response.status < 500 ? "yellow" : "red";
      show(form, `${response.status} ${response.statusText}`.trim(), colour, `${Math.round(performance.now() - began)} ms, ${response.headers.get("content-type") || "no content type"}`, text);
    } catch (error) {
      const why = error instanceof TypeError ? "The gateway cannot be reached from here, or this Api does not let web pages call it. Copy the command and try that." : String(error.message || error);
      show(form, "No answer", "red", why, "");
    } finally { button.disabled = false; }
  }

  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-try]")) return;
    event.preventDefault();
    send(event.target);
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-try-copy]");
    if (!button) return;
    navigator.clipboard.writeText(curl(request(button.closest("form")))).then(() => {
      document.querySelector("#announcer").textContent = "Copied";
      const text = button.lastChild;
      const before = text.textContent;
      text.textContent = "Copied";
      setTimeout(() => { text.textContent = before; }, 1500);
    });
  });

  // An address with an operation in it opens that one.
  const chosen = location.hash && document.getElementById(location.hash.slice(1));
  if (chosen && chosen.matches("details")) chosen.open = true;
})();
