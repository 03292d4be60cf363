// Keys: go to pages, move through rows, edit, new, help. Off in fields, and where the member turned them off.
(function () {
  "use strict";
  const $ = (selector, root) => (root || document).querySelector(selector);
  const all = (selector, root) => Array.from((root || document).querySelectorAll(selector));
  const on = document.documentElement.dataset.keys === "on";
  const SECOND_KEY = 1500; // milliseconds to press the letter after g

  const inField = (element) => /^(INPUT|TEXTAREA|SELECT)$/.test(element.tagName) && !/^(checkbox|radio)$/.test(element.type) || element.isContentEditable;
  const click = (element) => { if (element) element.click(); return Boolean(element); };
  let waiting = 0;

  // Rows: the one we are at is where its main link has the focus.
  const rows = () => all("main [data-row]").filter((row) => row.offsetParent !== null);
  const link = (row) => $("td.strong a, td.request a, a", row);
  const here = () => { const at = document.activeElement && document.activeElement.closest("[data-row]"); return at || null; };
  function move(step) {
    const found = rows();
    if (!found.length) return false;
    const at = found.indexOf(here());
    const next = at < 0 ? (step > 0 ? 0 : found.length - 1) : Math.min(Math.max(at + step, 0), found.length - 1);
    link(found[next]).focus();
    return true;
  }
  function edit() {
    const row = here();
    if (!row) return click($("main [data-key=e]"));
    if (row.dataset.edit) location.href = row.dataset.edit;
    return Boolean(row.dataset.edit);
  }
  function search() {
    const box = $("#q") || $("#text");
    if (box) box.focus(); else click($("[data-opens=palette]"));
    return true;
  }
  function help() { $("#help").showModal(); return true; }

  const SINGLE = {
    "j": () => move(1), "k": () => move(-1), "e": edit, "n": () => click($("main [data-key=n]")),
    "x": () => { const row = here(); return Boolean(row) && click($("[data-tick]", row)); },
    "/": search, "?": help, "g": () => { waiting = Date.now(); return true; },
  };

  document.addEventListener("keydown", (event) => {
    if (!on || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (inField(event.target) || $("dialog[open]")) return;
    const jump = Date.now() - waiting < SECOND_KEY;
    if (jump) waiting = 0;
    const done = jump ? click($(`[data-jump="${CSS.escape(event.key)}"]`)) : Boolean(SINGLE[event.key]) && SINGLE[event.key]();
    if (done) event.preventDefault();
  });
  all("[data-opens=help]").forEach((button) => { button.hidden = false; button.addEventListener("click", help); });
})();
