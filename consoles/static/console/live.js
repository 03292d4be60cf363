// Live views: the numbers of now on the overview, and the tail of the traffic. All text from outside is put in
// as text. Without a connection the overview falls back to its fragment, which htmx fetches.
(function () {
  "use strict";
  const $ = (selector, root) => (root || document).querySelector(selector);
  const all = (selector, root) => Array.from((root || document).querySelectorAll(selector));
  const calm = matchMedia("(prefers-reduced-motion: reduce)");
  const SIGNED_OUT = 4401, NOT_ALLOWED = 4403, TOO_MANY = 4429;
  const announce = (text) => { const box = $("#announcer"); if (box) box.textContent = text; };
  const make = (tag, name, text) => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // One socket that comes back: `heard` gets each frame, `state` how it stands.
  function connect(address, heard, state) {
    let socket = null, tries = 0, wait = 0, watchdog = 0, stopped = false;
    const later = (seconds) => { clearTimeout(wait); wait = setTimeout(open, seconds * 1000); };
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => { if (socket) { const silent = socket; lost(silent, 0); silent.close(); } }, 25000);
    };
    function lost(which, code) {
      if (which !== socket) return;
      socket = null;
      clearTimeout(watchdog);
      if (stopped) return;
      if (code === SIGNED_OUT || code === NOT_ALLOWED) { stopped = true; state("ended", code); return; }
      state("lost", code);
      const pause = code === TOO_MANY ? 60 : Math.min(30, 2 ** tries);
      tries += 1;
      later(pause * (0.75 + Math.random() / 2));
    }
    function open() {
      if (stopped || socket) return;
      const url = new URL(address(), location.href);
      url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
      const mine = socket = new WebSocket(url);
      alive();
      mine.onmessage = (event) => {
        if (mine !== socket) return;
        mine.send("1");
        alive();
        tries = 0;
        state("live", 0);
        heard(JSON.parse(event.data));
      };
      mine.onclose = (event) => lost(mine, event.code);
    }
    open();
    const drop = () => { const old = socket; socket = null; clearTimeout(wait); clearTimeout(watchdog); if (old) old.close(); };
    return {
      again() { drop(); tries = 0; open(); },
      hide() { drop(); },
      show() { if (!socket) { tries = 0; later(0); } },
    };
  }

  const WORDS = { live: "live", lost: "reconnecting…", ended: "ended: sign in again", hidden: "paused while hidden" };
  function shows(box, words) {
    let before = "";
    return (name, code) => {
      const text = code === TOO_MANY ? "too many live views are open; trying again in a minute"
        : code === NOT_ALLOWED ? "not allowed to watch" : words[name] || WORDS[name];
      if (text === before) return;
      if (before || name !== "live") announce(`Live view: ${text}`);
      before = text;
      box.dataset.liveState = name;
      box.textContent = text;
    };
  }

  const number = (value) => value >= 100 ? Math.round(value).toLocaleString() : value >= 10 || value === 0 ? String(Math.round(value)) : value.toFixed(1);
  const plural = (count, word) => `${count.toLocaleString()} ${word}${count === 1 ? "" : "s"}`;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--tg-${name}`).trim();

  // The overview
  function overview(root) {
    const lines = all("[data-live-line]", root).map((item) => ({ name: item.dataset.liveLine, colour: item.dataset.colour }));
    const NAMES = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"], KEPT = 120;
    let points = [], chart = null, drawnAt = 0, fallback = 0;
    const put = (name, text) => { const box = $(`[data-live=${name}]`, root); if (box && box.textContent !== text) box.textContent = text; };

    function values() {
      const sums = points.map(() => 0);
      const stacked = lines.map((line) => points.map((point, place) => (sums[place] += point[1 + NAMES.indexOf(line.name)])));
      return [points.map((point) => point[0]), ...stacked];
    }
    function options(width) {
      const axis = { stroke: colour("axis"), grid: { stroke: colour("grid"), width: 1 }, ticks: { show: false } };
      return {
        width, height: 176, legend: { show: false }, cursor: { show: false },
        scales: {
          x: { range: () => { const end = points.length ? points[points.length - 1][0] : Date.now() / 1000; return [end - KEPT, end]; } },
          y: { range: (plot, low, high) => [0, high > 0 ? high * 1.1 : 1] },
        },
        axes: [{ ...axis, space: 90, values: (plot, ticks) => ticks.map((tick) => new Date(tick * 1000).toLocaleTimeString()) }, { ...axis, size: 50 }],
        series: [{}, ...lines.map((line) => ({ stroke: colour(line.colour), fill: colour(line.colour) + "55", width: 2, points: { show: false } }))],
        bands: lines.slice(1).map((line, place) => ({ series: [place + 2, place + 1] })),
      };
    }
    function draw() {
      const box = $("[data-live-chart]", root);
      if (typeof uPlot === "undefined" || !box.clientWidth) return;
      if (chart && Math.abs(chart.width - (box.clientWidth - 32)) > 1) { chart.destroy(); chart = null; }
      if (chart) chart.setData(values()); else chart = new uPlot(options(box.clientWidth - 32), values(), box);
    }
    function list(name, rows, empty) {
      const box = $(`[data-live-list=${name}]`, root);
      box.replaceChildren(...(rows.length ? rows : [make("li", "text-secondary", empty)]));
    }
    function item(name, end, bad) {
      const row = make("li"), label = make("span", "live-name", name);
      row.append(label, make("span", bad ? "number badge bg-red-lt" : "number text-secondary", end));
      return row;
    }
    function tiles(frame) {
      put("rate", number(frame.rate));
      put("failed", frame.rate ? `${number(frame.failed)} failed` : "none now");
      put("p50", frame.latency[0] || "–");
      put("p95", frame.latency[0] ? `p95 ${frame.latency[1]}, p99 ${frame.latency[2]}` : "nothing in the last 10 seconds");
      put("in_flight", frame.in_flight.toLocaleString());
      put("connections", `on ${plural(frame.connections, "connection")}`);
      put("targets", frame.targets.toLocaleString());
      const bad = [frame.unhealthy && `${frame.unhealthy} unhealthy`, frame.ejected && `${frame.ejected} ejected`].filter(Boolean);
      put("health", bad.join(", ") || (frame.targets ? "all healthy" : "none is checked"));
      put("revision", frame.revision === null || !frame.running ? "–" : String(frame.revision));
      put("workers", !frame.slots ? "no gateway runs here" : !frame.running ? "the gateway is stopped"
        : frame.revision === null ? "workers are changing over" : `on all ${plural(frame.running, "worker")}`);
    }
    function lists(frame) {
      all("[data-live-class]", root).forEach((box) => { box.textContent = number(frame.classes[box.dataset.liveClass]); });
      list("apis", frame.apis.map(([name, count, failed]) => item(name, failed ? `${count.toLocaleString()}, ${failed.toLocaleString()} failed` : count.toLocaleString())), "No requests in the last minute.");
      list("errors", frame.errors.map(([status, state, api, count]) => item(`${status} ${state === "ok" ? "from the upstream" : state}, ${api}`, count.toLocaleString())), "No errors in the last minute.");
      list("upstreams", frame.upstreams.map(([name, good, total]) => item(name, good === total ? `${plural(total, "Target")} healthy` : `${total - good} of ${plural(total, "Target")} unhealthy`, good !== total)), "No Upstream is checked.");
      list("workers", frame.workers.map(([slot, state, revision, inFlight]) => item(`Worker ${slot}`, state === "gone" ? "gone" : `${state}, revision ${revision}, ${inFlight.toLocaleString()} in flight`, state === "gone")), "No gateway runs here.");
    }
    function heard(frame) {
      if (frame.history) { if (frame.history.length > points.length) points = frame.history; return; }
      if (!frame.point) return;
      points.push(frame.point);
      points = points.slice(-KEPT);
      // Who wants less motion gets it less often.
      if (calm.matches && Date.now() - drawnAt < 5000) return;
      drawnAt = Date.now();
      $("[data-live-more]", root).hidden = false;
      tiles(frame);
      lists(frame);
      draw();
    }
    const say = shows($("[data-live-state]", root), { live: "live, every second" });
    const link = connect(() => root.dataset.liveOverview, heard, (name, code) => {
      say(name, code);
      clearInterval(fallback);
      if (name === "lost") fallback = setInterval(() => $("#node").dispatchEvent(new Event("fallback")), 5000);
    });
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) { link.hide(); clearInterval(fallback); } else link.show();
    });
    let waiting = 0;
    addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(draw, 150); });
  }

  // The tail
  function tail(root) {
    const MOST = 500;
    const log = $("[data-tail-log]", root), body = $("tbody", log), form = $("[data-tail-filters]", root);
    const follow = $("[data-tail-follow]", root), pause = $("[data-tail-pause]", root);
    const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hour12: false });
    let paused = false, waiting = [], dropped = 0, missed = 0, shown = new Set(), drawn = 0;
    const keyOf = (row) => `${row[0]} ${row[10]}`;
    root.hidden = false;

    function status(code) {
      const colours = { 2: "green", 3: "blue", 4: "yellow", 5: "red" };
      return make("span", `badge bg-${colours[Math.floor(code / 100)] || "secondary"}-lt`, code ? String(code) : "no answer");
    }
    function draw(row) {
      const [at, code, took, method, path, api, route, app, why, agent, id] = row;
      const line = make("tr"), request = make("td", "request"), link = make("a");
      const url = `${root.dataset.request}?id=${encodeURIComponent(id)}`;
      const time = make("td", "", clock.format(new Date(at * 1000)));
      time.title = new Date(at * 1000).toISOString();
      link.href = url;
      link.setAttribute("hx-get", url);
      link.setAttribute("hx-target", "#drawer-content");
      link.append(make("span", "method", method), ` ${path}`);
      request.append(link);
      const state = make("td");
      state.append(status(code));
      const from = make("td", "tail-agent wide", agent);
      from.title = agent;
      line.append(time, state, request, make("td", "wide", api && route ? `${api} / ${route}` : route || api || "–"), make("td", "wide", app || "–"),
        make("td", "text-end", took), make("td", "wide", why || "–"), from);
      line.dataset.key = keyOf(row);
      htmx.process(line);
      return line;
    }
    function show(rows) {
      const fresh = rows.filter((row) => !shown.has(keyOf(row))).slice(-MOST);
      if (!fresh.length) return count();
      fresh.forEach((row) => shown.add(keyOf(row)));
      body.append(...fresh.map(draw));
      while (body.rows.length > MOST) { shown.delete(body.rows[0].dataset.key); body.rows[0].remove(); }
      $("[data-tail-empty]", root).hidden = true;
      if (follow.checked) { log.scrollTop = log.scrollHeight; drawn = log.scrollTop; }
      count();
    }
    function count() {
      const lost = dropped + missed, parts = [];
      if (body.rows.length) parts.push(plural(body.rows.length, "row"));
      if (paused) parts.push(`paused, ${waiting.length.toLocaleString()} waiting`);
      if (lost) parts.push(`${lost.toLocaleString()} dropped`);
      $("[data-tail-count]", root).textContent = parts.join(", ");
    }
    function setPaused(value) {
      if (paused === value) return;
      paused = value;
      pause.setAttribute("aria-pressed", String(paused));
      $("span", pause).textContent = paused ? "Resume" : "Pause";
      if (!paused) { const rows = waiting; waiting = []; show(rows); }
      count();
      announce(paused ? "The tail is paused" : "The tail goes on");
    }
    function heard(frame) {
      if (frame.missed !== undefined) { missed = frame.missed; return count(); }
      dropped += frame.dropped;
      if (!paused) return show(frame.rows);
      waiting.push(...frame.rows);
      if (waiting.length > MOST) { dropped += waiting.length - MOST; waiting = waiting.slice(-MOST); }
      return count();
    }
    const query = () => {
      const given = new URLSearchParams();
      new FormData(form).forEach((value, name) => { if (value.trim()) given.set(name, value.trim()); });
      return String(given);
    };
    function clear() {
      body.replaceChildren();
      shown = new Set();
      waiting = [];
      dropped = missed = 0;
      const empty = $("[data-tail-empty]", root);
      empty.hidden = false;
      empty.textContent = query() ? "No request that matches these filters yet." : "No request yet. What the gateway answers from now on appears here.";
      count();
    }
    const say = shows($("[data-live-state]", root), { live: "live" });
    const link = connect(() => `${root.dataset.liveTail}?${query()}`, heard, (name, code) => {
      if (name === "lost") { dropped += missed; missed = 0; }
      say(name, code);
    });

    let typing = 0;
    const changed = () => {
      const given = query();
      history.replaceState(null, "", given ? `?${given}` : location.pathname);
      clear();
      link.again();
    };
    form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(typing); changed(); });
    form.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(changed, 400); });
    pause.addEventListener("click", () => setPaused(!paused));
    $("[data-tail-clear]", root).addEventListener("click", clear);
    follow.addEventListener("change", () => { if (follow.checked) log.scrollTop = drawn = log.scrollHeight; });
    // Scrolling up reads, so it stops following; at the end it goes on.
    log.addEventListener("scroll", () => {
      const end = log.scrollHeight - log.clientHeight - log.scrollTop < 8;
      if (end) follow.checked = true; else if (log.scrollTop < drawn - 8) follow.checked = false;
      drawn = log.scrollTop;
    });
    // A row that somebody points at or goes to with the keyboard stays where it is.
    body.addEventListener("focusin", () => setPaused(true));
    body.addEventListener("pointerdown", () => setPaused(true));
    clear();
  }

  // "Data to": in the viewer's zone, with seconds.
  function clocks() {
    all("[data-live-clock]").forEach((box) => {
      const moment = new Date(box.dataset.liveClock);
      if (isNaN(moment)) return;
      box.title = moment.toISOString();
      const old = Date.now() - moment > 86400000;
      box.textContent = moment.toLocaleString(undefined, old ? { dateStyle: "medium", timeStyle: "medium" } : { timeStyle: "medium" });
    });
  }
  document.addEventListener("htmx:afterSettle", clocks);
  clocks();
  all("[data-live-overview]").forEach(overview);
  all("[data-live-tail]").forEach(tail);
})();
