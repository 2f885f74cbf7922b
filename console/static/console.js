// The console's pages work as plain links and forms; this makes them quick, live and usable from the keyboard.
//
// A fragment is HTML made of <template data-into="#place" data-how="fill|append|prepend|before|replace|remove">; `apply`
// puts each where it says. Links with data-part and forms with data-live are fetched and applied instead of followed.
"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const page = document.documentElement.dataset;
  const csrf = () => $('meta[name="csrf"]')?.content || "";
  const words = (name) => $(`#words [data-word="${name}"]`)?.textContent || "";

  // --- fragments ---------------------------------------------------------------------------------------------------

  // `gently`: it came by itself, and leaves alone what somebody has in hand.
  function apply(html, gently = false) {
    const fragment = document.createElement("template");
    fragment.innerHTML = html;
    for (const part of $$("template", fragment.content)) {
      if (part.dataset.toast !== undefined) toast(part);
      else if (part.dataset.go) location.assign(part.dataset.go);
      else if (part.dataset.into) place(part, gently);
    }
  }

  // An open dialog, and words typed into a field that keeps no draft, are not taken from under whoever has them in hand.
  // What came for their place meanwhile is put there when they let go.
  const aside = new Map();
  const isTyped = (field) => field.value !== field.defaultValue && !field.closest("details:not([open]), dialog:not([open])");
  const inHand = (target) => Boolean($("dialog[open]", target)) || $$("textarea:not([data-draft])", target).some(isTyped);
  function letGo() {
    for (const [where, part] of [...aside]) { aside.delete(where); place(part, true); }
  }
  for (const name of ["close", "focusout", "toggle"]) document.addEventListener(name, () => { if (aside.size) setTimeout(letGo); }, true);

  function place(part, gently = false) {
    const target = $(part.dataset.into);
    if (!target) return;
    const how = part.dataset.how || "fill", grows = how === "append" || how === "prepend";
    if (gently && !grows && inHand(target)) { aside.set(part.dataset.into, part); return; }
    if (!grows) aside.delete(part.dataset.into);
    const content = part.content;
    const stays = target.matches("[data-stick]") ? atEnd(target) : null;
    const focus = document.activeElement?.id;
    if (how === "append") target.append(content);
    else if (how === "prepend") keepPlace(target, () => target.prepend(content));
    else if (how === "replace") target.replaceWith(content);
    else if (how === "remove") target.remove();
    else target.replaceChildren(content);
    if (stays !== null && (stays || part.dataset.jump !== undefined)) target.scrollTop = target.scrollHeight;
    if (focus && !document.activeElement?.id) document.getElementById(focus)?.focus();
    arrived(how === "replace" ? document : target);
  }

  const atEnd = (box) => box.scrollHeight - box.scrollTop - box.clientHeight < 48;

  function keepPlace(box, change) {
    const before = box.scrollHeight - box.scrollTop;
    change();
    box.scrollTop = box.scrollHeight - before;
  }

  // What new content needs: drafts, places to be filled when seen, the end of a talk in view.
  function arrived(root) {
    for (const field of $$("[data-draft]", root)) restore(field);
    for (const block of $$("[data-fill], [data-more]", root)) seen.observe(block);
    for (const box of $$("[data-stick]", root)) if (!box.dataset.stuck) { box.dataset.stuck = "1"; box.scrollTop = box.scrollHeight; }
    for (const field of $$("[autofocus]", root)) field.focus();
    for (const block of $$("[data-poll]", root)) follow(block);
    for (const time of $$("time[data-age]", root)) age(time);
  }

  // A block that changes by itself is asked for again; the answer replaces it, and says whether to go on.
  function follow(block) {
    if (block.dataset.following) return;
    block.dataset.following = "1";
    setTimeout(async () => {
      while (block.isConnected && !document.hidden && !(await ask(block.dataset.poll))) await new Promise((done) => setTimeout(done, 5000));
      if (block.isConnected) { delete block.dataset.following; follow(block); }
    }, 1000);
  }

  // `settled` is called when the server has decided; not when nobody knows what became of the request.
  async function ask(url, { settled, ...options } = {}) {
    let answer, html;
    try {
      answer = await fetch(url, { credentials: "same-origin", redirect: "follow", ...options,
        headers: { "X-Part": "1", ...(options.method ? { "X-CSRF": csrf() } : {}), ...options.headers } });
      html = await answer.text();
    } catch { toastText(words("offline")); return null; }
    if (answer.status < 500 && answer.status !== 401) settled?.();
    if (answer.status === 401) { location.assign(`/console/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`); return null; }
    if ((answer.headers.get("Content-Type") || "").startsWith("text/html")) apply(html);
    else if (!answer.ok) toastText(words(answer.status === 403 ? "forbidden" : "unavailable"));
    return answer.ok ? answer : null;
  }

  async function go(url, push = true) {
    for (const row of $$(".row[aria-current]")) row.removeAttribute("aria-current");
    const path = new URL(url, location.href).pathname;
    for (const row of $$("a.row")) if (row.pathname === path) row.setAttribute("aria-current", "true");
    const pane = /\/inbox\/\d+$/.test(path) ? $("#conversation") : $("#rows");
    const slow = setTimeout(() => pane?.setAttribute("aria-busy", "true"), 150);  // the shape of what comes
    const answer = await ask(url);
    clearTimeout(slow);
    pane?.removeAttribute("aria-busy");
    if (!answer) return;
    if (push) history.pushState({ part: true }, "", url);
    const inbox = $(".inbox");
    if (inbox) inbox.classList.toggle("is-open", Boolean($("#conversation [data-conversation]")));
    connect();
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-part]");
    if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey && event.button === 0) {
      event.preventDefault();
      go(link.href);
      return;
    }
    const asking = event.target.closest("a[data-asks]");
    if (asking) { event.preventDefault(); ask(asking.href); return; }
    const button = event.target.closest("[data-do]");
    if (button) commands[button.dataset.do]?.(button, event);
  });
  // What lies behind a summary is asked for when it is first opened.
  document.addEventListener("toggle", async (event) => {
    const block = event.target, url = block.dataset?.asks;
    if (!url || !block.open) return;
    delete block.dataset.asks;
    if (!(await ask(url))) block.dataset.asks = url;
  }, true);
  addEventListener("popstate", () => { if ($(".inbox")) go(location.href, false); else location.reload(); });

  // --- forms -------------------------------------------------------------------------------------------------------

  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.matches("form[data-live]")) return;
    event.preventDefault();
    const question = (event.submitter?.dataset.ask || form.dataset.ask);
    if (question && !confirm(question)) return;
    if (form.dataset.busy) return;
    form.dataset.busy = "1";
    const once = form.elements.namedItem("client_id");
    if (once) once.value = attemptOf(form);
    const body = new FormData(form, event.submitter);
    const sent = $$("[data-draft]", form).map((field) => [field.dataset.draft, field.value]);
    const files = $$('input[type="file"]', form).some((field) => field.files.length);
    try {
      const url = event.submitter?.formAction && event.submitter.hasAttribute("formaction") ? event.submitter.formAction : form.action;
      if (form.method === "get") { await go(`${url}?${new URLSearchParams(body)}`); return; }
      const settled = () => { if (once) forgetAttempt(form); };
      const answer = await ask(url, { method: "POST", body: files ? body : new URLSearchParams(body), settled });
      if (!answer) return;
      for (const [name, value] of sent) for (const field of $$(`[data-draft="${CSS.escape(name)}"]`)) leave(field, value);
      if (form.dataset.live === "clear") { form.reset(); for (const field of $$("textarea", form)) grow(field); }
      else for (const field of $$("textarea", form)) field.defaultValue = field.value;  // it is said, no longer in hand
      if (form.getAttribute("role") !== "search") form.closest("dialog")?.close();
    } finally {
      delete form.dataset.busy;
      for (const html of held.splice(0)) apply(html, true);
    }
  });
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
  });

  // --- drafts: what was typed survives a reload, a lost connection and a restart -------------------------------------

  const draftKey = (field) => `draft:${page.user}:${field.dataset.draft}`;
  function restore(field) { const kept = localStorage.getItem(draftKey(field)); if (kept && !field.value) { field.value = kept; grow(field); } }
  // A send keeps its id until the server has decided, over reloads too: tried again, it is the same one and leaves once.
  const attemptKey = (form) => `attempt:${page.user}:${$("[data-draft]", form)?.dataset.draft}`;
  function attemptOf(form) {
    const id = localStorage.getItem(attemptKey(form)) || newId();
    localStorage.setItem(attemptKey(form), id);
    return id;
  }
  // Browsers have randomUUID only where the page came encrypted, or from the same machine.
  const newId = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const forgetAttempt = (form) => localStorage.removeItem(attemptKey(form));
  // What was sent is out of the field, also of one that took its place meanwhile; what was typed after it stays.
  function leave(field, sent) {
    field.value = field.value.startsWith(sent) ? field.value.slice(sent.length).trimStart() : field.value;
    if (field.value) localStorage.setItem(draftKey(field), field.value); else localStorage.removeItem(draftKey(field));
    grow(field);
  }
  function grow(field) { if (field.tagName === "TEXTAREA") { field.style.height = "auto"; field.style.height = `${field.scrollHeight + 2}px`; } }
  document.addEventListener("input", (event) => {
    const field = event.target;
    if (field.dataset.draft) {
      if (field.value) localStorage.setItem(draftKey(field), field.value); else localStorage.removeItem(draftKey(field));
    }
    if (field.matches("textarea")) grow(field);
    if (field.matches("[data-menu]")) offer(field);
    if (field.matches("[data-narrows]")) narrow(field);
    if (field.matches("[data-search]")) later(field, () => field.form.requestSubmit());
    if (field.dataset.typing) typing(field);
    const form = field.closest("form[data-try]");
    if (form) attempt(form, field.matches("[data-shapes]"));
  });
  // What a form would do is shown while it is written: one question at a time, the last one with what is written last.
  function attempt(form, shapes) {
    if (shapes) form.dataset.shapes = "1";
    later(form, async () => {
      if (form.dataset.trying) { form.dataset.again = "1"; return; }
      form.dataset.trying = "1";
      const body = new URLSearchParams(new FormData(form));
      if (form.dataset.shapes) { body.set("shape", "again"); delete form.dataset.shapes; }
      await ask(form.dataset.try, { method: "POST", body });
      delete form.dataset.trying;
      if (form.dataset.again) { delete form.dataset.again; attempt(form, false); }
    }, 300);
  }
  const waiting = new WeakMap();
  function later(field, work, ms = 200) { clearTimeout(waiting.get(field)); waiting.set(field, setTimeout(work, ms)); }
  let typed = 0;
  function typing(field) { if (Date.now() - typed > 4000) { typed = Date.now(); fetch(field.dataset.typing, { method: "POST", headers: { "X-CSRF": csrf() } }).catch(() => {}); } }

  // --- lists: pages are filled when they come into view and emptied again when there would be too many rows -----------

  const MOST_ROWS = 200;
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting || target.dataset.loading) continue;
      if (target.dataset.fill) fill(target, target.dataset.fill);
      else if (target.dataset.more) more(target);
    }
  }, { rootMargin: "300px" });

  async function more(mark) {
    mark.dataset.loading = "1";
    const answer = await reading(() => ask(mark.dataset.more));
    if (!answer) delete mark.dataset.loading;
    thin(mark.closest("[data-pages]") || $("[data-pages]"));
  }
  async function fill(block, url) {
    block.dataset.loading = "1";
    await reading(async () => {
      const answer = await fetch(url, { headers: { "X-Part": "rows" } }).catch(() => null);
      if (answer?.ok) { block.innerHTML = await answer.text(); block.style.height = ""; delete block.dataset.fill; arrived(block); thin(block.closest("[data-pages]"), block); }
    });
    delete block.dataset.loading;
  }
  // An answer may be older than a row that was told while it was on its way: what was told meanwhile is put in once more.
  let reads = 0;
  const told = new Map();
  async function reading(work) {
    reads++;
    try { return await work(); } finally {
      if (!--reads) {
        for (const row of told.values()) { $$(`[id="row-${row.id}"]`).slice(1).forEach((twin) => twin.remove()); upsert(row); }
        told.clear();
      }
    }
  }
  function tell(row) { if (reads) told.set(row.id, row); upsert(row); }
  function thin(list, keep) {
    if (!list) return;
    const blocks = $$("[data-page]", list).filter((block) => block.childElementCount);
    let rows = blocks.reduce((sum, block) => sum + block.childElementCount, 0);
    const middle = list.getBoundingClientRect().top + list.clientHeight / 2;
    const far = (block) => { const box = block.getBoundingClientRect(); return Math.abs((box.top + box.bottom) / 2 - middle); };
    for (const block of blocks.filter((block) => block !== keep).sort((a, b) => far(b) - far(a))) {
      if (rows <= MOST_ROWS) return;
      rows -= block.childElementCount;
      block.style.height = `${block.offsetHeight}px`;
      block.replaceChildren();
      block.dataset.fill = block.dataset.page;
      seen.unobserve(block); seen.observe(block);
    }
  }

  // A row is replaced, moved to where it sorts, or taken out; what is in view stays where it is.
  function upsert(row) {
    const list = $("[data-pages]:not([data-found])");
    if (!list) return;
    const old = document.getElementById(`row-${row.id}`);
    const anchor = $$(".row", list).find((item) => item !== old && item.getBoundingClientRect().bottom > list.getBoundingClientRect().top);
    const top = anchor?.getBoundingClientRect().top;
    const focused = old && document.activeElement === old;
    if (!row.html) old?.remove();
    else {
      const box = document.createElement("template");
      box.innerHTML = row.html;
      const made = box.content.firstElementChild;
      if (old?.hasAttribute("aria-current") || made.pathname === location.pathname) made.setAttribute("aria-current", "true");
      if (old && old.dataset.sort === made.dataset.sort) old.replaceWith(made);
      else {
        const down = list.dataset.order === "down";
        const before = $$(".row", list).find((item) => item !== old && (down ? item.dataset.sort < made.dataset.sort : item.dataset.sort > made.dataset.sort));
        const isWhole = !$("[data-more]", list);
        if (before) before.before(made);
        else if (isWhole || !$(".row", list)) ($$("[data-page]", list).at(-1) || list).append(made);
        old?.remove();
        if (!made.isConnected && old) { $("[data-more]", list)?.before(); }
      }
      arrived(made.parentElement || list);
      if (focused) made.focus();
    }
    $(".empty", list)?.toggleAttribute("hidden", Boolean($(".row", list)));
    if (anchor?.isConnected && top !== undefined && list.scrollTop > 0) list.scrollTop += anchor.getBoundingClientRect().top - top;
  }

  // --- live --------------------------------------------------------------------------------------------------------

  let stream = null, pause = 1000, again = 0, missed = false;
  const held = [];
  function connect() {
    const base = document.body.dataset.live;
    if (!base) return;
    stream?.close();
    clearTimeout(again);
    told.clear();  // of another list, or asked for anew
    const url = new URL(base, location.href);
    for (const [name, value] of new URLSearchParams(location.search)) url.searchParams.set(name, value);
    const talk = $("#conversation [data-conversation]");
    if (talk) { url.searchParams.set("open", talk.dataset.conversation); url.searchParams.set("after", $("#newest")?.value || ""); }
    stream = new EventSource(url);
    stream.onopen = () => {
      pause = 1000;
      $("#offline").hidden = true;
      if (missed) { missed = false; reading(renew); lookAtBoard(); }
    };
    stream.onerror = () => {
      stream.close();
      missed = true;
      $("#offline").hidden = false;
      again = setTimeout(connect, pause * (0.75 + Math.random() / 2));
      pause = Math.min(pause * 2, 15000);
    };
    stream.addEventListener("rows", (event) => { for (const row of JSON.parse(event.data)) tell(row); });
    stream.addEventListener("part", (event) => {
      const html = JSON.parse(event.data);
      if ($("form[data-busy]")) held.push(html); else apply(html, true);  // a form that is being sent keeps its place
      read();
    });
    stream.addEventListener("board", lookAtBoard);
    stream.addEventListener("notice", (event) => notify(JSON.parse(event.data)));
    stream.addEventListener("out", () => location.assign("/console/sign-in"));
  }
  // Browsers open six connections to a host over HTTP/1.1: of the tabs nobody looks at only one keeps its stream. It
  // is told of notices, and keeps the operator's conversations theirs. Where there are no locks each tab keeps its own.
  const QUIET_MS = 5000;
  let isEar = !navigator.locks, quiet = 0;
  navigator.locks?.request("frontdesk-ear", () => {
    isEar = true;
    if (!stream) connect();
    return new Promise(() => {});  // held until the tab is gone
  });
  function watchTab() {
    clearTimeout(quiet);
    if (!document.hidden) { if (!stream) connect(); return; }
    quiet = setTimeout(() => {
      if (isEar || !document.hidden || !stream) return;
      clearTimeout(again);
      stream.close();
      stream = null;
      missed = true;
    }, QUIET_MS);
  }
  document.addEventListener("visibilitychange", watchTab);
  // After a break the pages of the list that are filled are asked for anew; a row that is in two of them stays in the first.
  async function renew() {
    const list = $("[data-pages]:not([data-found])");
    if (!list) return;
    const at = list.scrollTop, focus = document.activeElement?.id;
    for (const block of $$("[data-page]", list).filter((each) => !each.dataset.fill)) {
      const answer = await fetch(block.dataset.page, { headers: { "X-Part": "rows" } }).catch(() => null);
      if (!answer?.ok) return;
      block.innerHTML = await answer.text();
      arrived(block);
    }
    const there = new Set();
    for (const row of $$(".row[id]", list)) {
      if (there.has(row.id)) row.remove();
      there.add(row.id);
      if (row.pathname === location.pathname) row.setAttribute("aria-current", "true");
    }
    $(".empty", list)?.toggleAttribute("hidden", Boolean($(".row", list)));
    list.scrollTop = at;
    if (focus) document.getElementById(focus)?.focus();
  }
  // What came while the page was looked at has been read.
  let known = "";
  function read() {
    const talk = $("#conversation [data-conversation]"), last = $$("#talk [data-message]").at(-1)?.dataset.message;
    if (document.hidden || !talk || !last || known === last) return;
    known = last;
    const body = new URLSearchParams({ message: last });
    fetch(`/console/inbox/${talk.dataset.conversation}/seen`, { method: "POST", body, headers: { "X-CSRF": csrf(), "X-Part": "1" } }).catch(() => {});
  }
  document.addEventListener("visibilitychange", read);

  function notify(notice) {
    const badge = $("#notices");
    if (badge) badge.textContent = notice.unread || "";
    if (!document.hidden || !notice.text) return;
    if (page.sound === "on") beep();
    if (window.Notification?.permission === "granted") {
      const shown = new Notification(notice.title, { body: notice.text, tag: notice.tag });
      shown.onclick = () => { window.focus(); if (notice.url) location.assign(notice.url); };
    }
  }
  function beep() {
    const sound = new AudioContext(), tone = sound.createOscillator(), volume = sound.createGain();
    tone.frequency.value = 660; volume.gain.value = 0.05;
    tone.connect(volume).connect(sound.destination);
    tone.start(); tone.stop(sound.currentTime + 0.15);
    tone.onended = () => sound.close();
  }

  // --- toasts ------------------------------------------------------------------------------------------------------

  function toast(part) {
    const box = document.createElement("div");
    box.className = "toast";
    box.append(part.content);
    show(box, part.dataset.stays !== undefined || $("form", box) ? 20000 : 6000);  // what can be taken back, for longer
  }
  function toastText(text) { if (!text) return; const box = document.createElement("div"); box.className = "toast"; box.textContent = text; show(box, 8000); }
  function show(box, ms) {
    const toasts = $("#toasts");
    while (toasts.childElementCount > 2) toasts.firstElementChild.remove();
    toasts.append(box);
    let timer = setTimeout(() => box.remove(), ms);
    box.addEventListener("focusin", () => clearTimeout(timer));
    box.addEventListener("submit", () => box.remove());
  }

  // --- menus under a field: canned replies after /, colleagues after @ ------------------------------------------------

  function wordBefore(field) {
    const start = field.value.slice(0, field.selectionStart);
    return start.match(/(?:^|\s)([/@])([^\s/@]*)$/u);
  }
  function offer(field) {
    const found = wordBefore(field), menu = document.getElementById(field.dataset.menu);
    const kinds = field.dataset.menuKinds || "/@";
    if (!menu) return;
    if (!found || !kinds.includes(found[1])) { menu.hidden = true; return; }
    later(menu, async () => {
      const url = new URL(found[1] === "/" ? field.dataset.canned : field.dataset.people, location.href);
      url.searchParams.set("q", found[2]);
      const answer = await fetch(url, { headers: { "X-Part": "menu" } }).catch(() => null);
      if (!answer?.ok || !wordBefore(field)) return;
      menu.innerHTML = await answer.text();
      menu.hidden = !menu.childElementCount;
      menu.firstElementChild?.setAttribute("aria-selected", "true");
    }, 120);
  }
  function choose(field, item) {
    const found = wordBefore(field), menu = document.getElementById(field.dataset.menu);
    if (!found) return;
    const end = field.selectionStart, start = end - found[1].length - found[2].length;
    field.setRangeText(item.dataset.insert, start, end, "end");
    menu.hidden = true;
    field.focus();
    field.dispatchEvent(new InputEvent("input", { bubbles: true }));
  }
  function inMenu(event, field, menu) {
    const items = $$("[data-insert], [data-command]", menu), at = items.findIndex((item) => item.getAttribute("aria-selected") === "true");
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      items[at]?.removeAttribute("aria-selected");
      const next = items[(at + (event.key === "ArrowDown" ? 1 : items.length - 1)) % items.length];
      next?.setAttribute("aria-selected", "true");
      next?.scrollIntoView({ block: "nearest" });
      return true;
    }
    if (event.key === "Enter" || event.key === "Tab") {
      if (!items[at]) return false;
      event.preventDefault();
      items[at].click();
      return true;
    }
    return false;
  }

  // --- keyboard ----------------------------------------------------------------------------------------------------

  // Of a list of buttons those stay whose name holds what was typed; Enter takes the first.
  const choicesOf = (field) => $$("button", document.getElementById(field.dataset.narrows));
  function narrow(field) {
    const wanted = field.value.trim().toLowerCase();
    for (const item of choicesOf(field)) item.hidden = !item.firstChild.textContent.toLowerCase().includes(wanted);
  }

  const isTyping = (target) => target.matches("input, textarea, select, [contenteditable]");
  document.addEventListener("keydown", (event) => {
    const field = event.target, menu = field.dataset?.menu && document.getElementById(field.dataset.menu);
    if (menu && !menu.hidden && inMenu(event, field, menu)) return;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") { event.preventDefault(); commands.palette(); return; }
    if (event.key === "Escape") {
      if (menu && !menu.hidden) { menu.hidden = true; return; }
      if (isTyping(field)) { field.blur(); return; }
      $(".inbox")?.classList.remove("shows-side");
      return;
    }
    if (event.key === "Enter" && field.matches("textarea[data-enter]") && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      field.form.requestSubmit();
      return;
    }
    if (event.key === "Enter" && field.matches("[data-narrows]")) {
      event.preventDefault();
      if (field.value.trim() && !event.isComposing) choicesOf(field).find((item) => !item.hidden)?.click();
      return;
    }
    if (isTyping(field) || event.ctrlKey || event.metaKey || event.altKey || $("dialog[open]")) return;
    if (event.key === "j" || event.key === "k") { event.preventDefault(); step(event.key === "j" ? 1 : -1); return; }
    const choice = field.closest("[data-choices]") && $(`[data-choice="${CSS.escape(event.key)}"]`, field.closest("[data-choices]"));
    if (choice) {
      event.preventDefault();
      if (isTyping(choice)) { choice.focus(); return; }
      choice.click();
      step(1);
      return;
    }
    const target = $$(`[data-key="${CSS.escape(event.key)}"]`).find((item) => item.offsetParent !== null || item.matches("dialog *") === false);
    if (!target) return;
    event.preventDefault();
    if (isTyping(target)) target.focus(); else target.click();
    if (target.matches("summary")) $("textarea, select", target.parentElement)?.focus();
  });
  function step(by) {
    const rows = $$("[data-pages] .row, [data-choices], [data-steps] a, [data-steps] [tabindex]");
    const at = rows.findIndex((row) => row === document.activeElement);
    const now = at >= 0 ? at : rows.findIndex((row) => row.hasAttribute("aria-current"));
    const next = rows[Math.max(0, Math.min(rows.length - 1, now < 0 ? 0 : now + by))];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  }

  // --- commands: what buttons with data-do do --------------------------------------------------------------------------

  const commands = {
    palette() {
      const box = $("#palette"), input = $("input", box);
      box.showModal();
      input.value = "";
      list("");
    },
    open(button) { const box = document.getElementById(button.dataset.dialog); box?.showModal(); ($("[data-first]", box) || $("input:not([type=hidden]), select, textarea", box))?.focus(); },
    shut(button) { button.closest("dialog")?.close(); },
    side() { $(".inbox")?.classList.toggle("shows-side"); },
    insert(button) {
      const field = $(button.dataset.field || "#reply");
      if (!field) return;
      field.value = field.value ? `${field.value.trimEnd()}\n${button.dataset.text}` : button.dataset.text;
      field.dispatchEvent(new InputEvent("input", { bubbles: true }));
      field.focus();
    },
    focus(button) { const field = $(button.dataset.field); field?.focus(); },
    tab(button) {
      for (const tab of $$(`[data-do="tab"][data-group="${button.dataset.group}"]`)) {
        const isIt = tab === button;
        tab.setAttribute("aria-selected", String(isIt));
        const panel = document.getElementById(tab.dataset.tab);
        if (panel) panel.hidden = !isIt;
        if (isIt) $("textarea, input:not([type=hidden])", panel)?.focus();
      }
    },
    visit(button) { location.assign(button.dataset.href); },
    notifications() { window.Notification?.requestPermission(); },
    copy(button) { navigator.clipboard?.writeText(button.dataset.text).then(() => toastText(button.dataset.said)); },
    signout() { for (const key of Object.keys(localStorage)) if (key.startsWith(`draft:${page.user}:`) || key.startsWith(`attempt:${page.user}:`)) localStorage.removeItem(key); },
    png(button) { savePicture(button); },
  };
  document.addEventListener("click", (event) => {
    const item = event.target.closest(".menu [data-insert]");
    if (!item) return;
    const field = $(`[data-menu="${item.closest(".menu").id}"]`);
    if (field) choose(field, item);
  });

  // A chart as a picture: the SVG with the colours it has on the page, drawn onto a canvas twice as large.
  function savePicture(button) {
    const svg = $(button.dataset.chart), copy = svg.cloneNode(true);
    $$("*", svg).forEach((item, at) => {
      const look = getComputedStyle(item), to = $$("*", copy)[at];
      for (const name of ["fill", "stroke", "stroke-width", "font-family", "font-size"]) to.setAttribute(name, look.getPropertyValue(name));
    });
    const box = svg.viewBox.baseVal, canvas = document.createElement("canvas");
    canvas.width = box.width * 2; canvas.height = box.height * 2;
    copy.setAttribute("width", canvas.width); copy.setAttribute("height", canvas.height);
    const image = new Image();
    image.onload = () => {
      const paper = canvas.getContext("2d");
      paper.fillStyle = getComputedStyle(document.body).backgroundColor;
      paper.fillRect(0, 0, canvas.width, canvas.height);
      paper.drawImage(image, 0, 0);
      const link = document.createElement("a");
      link.href = canvas.toDataURL("image/png"); link.download = button.dataset.file || "chart.png"; link.click();
    };
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(new XMLSerializer().serializeToString(copy))}`;
  }

  // --- the palette: every link and button of the page by its words, and people by name ---------------------------------

  let found = [];
  function list(query) {
    const menu = $("#palette-menu"), wanted = query.trim().toLowerCase();
    found = $$("[data-command]").filter((item) => !item.closest("#palette") && !item.disabled)
      .map((item) => ({ item, text: item.dataset.command || item.textContent.trim() }))
      .filter(({ text }) => text.toLowerCase().includes(wanted)).slice(0, 12);
    menu.replaceChildren(...found.map(({ item, text }, at) => {
      const line = document.createElement("button");
      line.type = "button"; line.dataset.command = ""; line.textContent = text;
      if (item.dataset.key) { const key = document.createElement("kbd"); key.textContent = item.dataset.key; line.append(" ", key); }
      if (at === 0) line.setAttribute("aria-selected", "true");
      line.onclick = () => { $("#palette").close(); item.click(); };
      return line;
    }));
    if (wanted.length < 1) return;
    later(menu, async () => {
      const body = new URLSearchParams({ q: query });
      const answer = await fetch("/console/find", { method: "POST", body, headers: { "X-Part": "menu", "X-CSRF": csrf() } }).catch(() => null);
      if (!answer?.ok || $("#palette input").value !== query) return;
      const box = document.createElement("template");
      box.innerHTML = await answer.text();
      menu.append(box.content);
      if (!$("[aria-selected]", menu)) menu.firstElementChild?.setAttribute("aria-selected", "true");
    });
  }
  $("#palette input")?.addEventListener("input", (event) => list(event.target.value));

  // --- the board: a card is dragged, or moved with its own form --------------------------------------------------------

  // Something happened to a case: the board is asked for anew, but not while somebody has a card or a field of it in hand.
  let dragged = false, boardLater = 0;
  async function lookAtBoard() {
    clearTimeout(boardLater);
    const board = $("#board");
    if (!board) return;
    const field = document.activeElement;
    const inHand = dragged || $("form[data-busy]") || (board.contains(field) && field.matches("select, input, textarea"));
    if (inHand || document.hidden) { boardLater = setTimeout(lookAtBoard, 2000); return; }
    const at = board.contains(field) && field.closest("[data-card]")?.dataset.card;
    await ask(location.pathname + location.search);
    if (at) $(`#board [data-card="${CSS.escape(at)}"] a`)?.focus();
  }
  document.addEventListener("dragend", () => { dragged = false; });
  document.addEventListener("dragstart", (event) => {
    dragged = true;
    const card = event.target.closest?.("[data-card]");
    if (card) { event.dataTransfer.setData("text/plain", card.dataset.card); event.dataTransfer.effectAllowed = "move"; }
  });
  document.addEventListener("dragover", (event) => {
    const column = event.target.closest?.("[data-column]");
    if (column) { event.preventDefault(); column.classList.add("is-over"); }
  });
  document.addEventListener("dragleave", (event) => event.target.closest?.("[data-column]")?.classList.remove("is-over"));
  document.addEventListener("drop", (event) => {
    const column = event.target.closest?.("[data-column]");
    if (!column) return;
    event.preventDefault();
    column.classList.remove("is-over");
    const form = $(`form[data-moves="${CSS.escape(event.dataTransfer.getData("text/plain"))}"]`);
    if (!form) return;
    form.elements.namedItem("status").value = column.dataset.column;
    form.requestSubmit();
  });

  // --- time: ages are counted here so that nothing has to be sent for them ---------------------------------------------

  // By the server's clock: a computer whose own is wrong shows no ages that are.
  const skew = (Date.parse(page.now) || Date.now()) - Date.now();
  function age(time) {
    const now = Date.now() + skew, isLeft = time.dataset.age === "left", away = (Date.parse(time.dateTime) - now) / 1000;
    const value = Math.max(0, isLeft ? away : -away);
    if (isLeft && !value && time.dataset.over) {
      const around = time.parentElement;
      around.textContent = time.dataset.over;
      around.classList.add("bad");
      return;
    }
    const isChinese = document.documentElement.lang.startsWith("zh");
    const [size, name] = value >= 86400 ? [86400, isChinese ? "天" : "d"] : value >= 3600 ? [3600, isChinese ? "小时" : "h"] : isLeft && value < 60 ? [1, isChinese ? "秒" : "s"] : [60, isChinese ? "分钟" : "min"];
    const words = `${Math.floor(value / size)} ${name}`;
    if (time.textContent !== words) time.textContent = words;
    if (time.dataset.warnAt) time.classList.toggle("warn", now >= Date.parse(time.dataset.warnAt));
    if (time.dataset.badAt) time.classList.toggle("bad", now >= Date.parse(time.dataset.badAt));
  }
  // The clock of a customer far away goes on.
  function tick(time) {
    try {
      time.textContent = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: time.dataset.clock }).format(Date.now() + skew);
    } catch { delete time.dataset.clock; }  // a zone this browser does not know: what the desk said stays
  }
  setInterval(() => {
    for (const time of $$("time[data-age]")) age(time);
    for (const time of $$("time[data-clock]")) tick(time);
  }, 15000);
  setInterval(() => { for (const time of $$('time[data-age="left"]')) age(time); }, 1000);

  // --- idle: locked after a while without a move ------------------------------------------------------------------------

  const idleMinutes = Number(page.idle || 0);
  if (idleMinutes) {
    let moved = Date.now();
    for (const name of ["keydown", "pointerdown", "scroll"]) addEventListener(name, () => { moved = Date.now(); }, { passive: true, capture: true });
    setInterval(async () => {
      if (Date.now() - moved < idleMinutes * 60000) return;
      await fetch("/console/lock", { method: "POST", headers: { "X-CSRF": csrf() } }).catch(() => {});
      location.assign(`/console/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
    }, 10000);
  }

  // --- lists remember their place ---------------------------------------------------------------------------------------

  const placeKey = () => `place:${location.pathname.split("/").slice(0, 3).join("/")}${location.search}`;
  addEventListener("pagehide", () => { const list = $("[data-pages], .main"); if (list) sessionStorage.setItem(placeKey(), String(list.scrollTop)); });
  arrived(document);
  const kept = Number(sessionStorage.getItem(placeKey()) || 0);
  if (kept) $("[data-pages], .main")?.scrollTo(0, kept);
  connect();
  watchTab();
})();
