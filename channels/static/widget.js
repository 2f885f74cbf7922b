// Frontdesk web chat, see docs/web.md. Alone it is a whole chat of words and buttons; files, cards, forms and the rest
// come with widget-more.js, loaded when first needed (docs/decisions/0008). Served without comments and indentation.
(() => {
  "use strict";
  const script = document.currentScript;
  if (!script || window.Frontdesk) return;
  const conf = script.dataset;
  const account = conf.account || "default";
  const base = new URL(`channels/web/${account}/`, script.src).href;
  const language = conf.language || navigator.language;
  const lang = /^zh/i.test(language) ? "zh" : "en";
  const T = {
    zh: {
      title: "在线客服", open: "打开在线客服", close: "关闭", bot: "自动助手", staff: "客服", you: "您", log: "对话内容",
      greet: "您好，请直接写下您的问题，我会马上回答；需要时会转给同事。",
      ask: ["我的订单到哪了？", "我想退货", "你们几点营业？", "我要投诉"],
      write: "输入消息", send: "发送", sending: "等待发送", sent: "已送达", seen: "已读", failed: "未能发送，请缩短后重试", attach: "添加文件", menu: "更多", place: "我的位置",
      offline: "网络已断开，您写的消息会在恢复后自动发送。", expired: "登录已过期，请刷新页面。",
    },
    en: {
      title: "Customer service", open: "Open the chat", close: "Close", bot: "Automatic assistant", staff: "Our team",
      you: "You", log: "Conversation",
      greet: "Hello. Write what you need and you will be answered right away; a colleague takes over when needed.",
      ask: ["Where is my order?", "I want to return something", "When are you open?", "I want to make a complaint"],
      write: "Write a message", send: "Send", sending: "Waiting to be sent", sent: "Delivered", seen: "Seen",
      failed: "Not sent. Please shorten it and try again.", attach: "Add a file", menu: "More", place: "My location",
      offline: "You are offline. What you write is kept and sent later.",
      expired: "Your sign-in has expired. Please reload the page.",
    },
  }[lang];
  const questions = conf.questions?.split("|") || T.ask;
  const identity = conf.user && {
    user: conf.user, signature: conf.signature, issued_at: +conf.issuedAt, ...(conf.name && { name: conf.name }),
  };

  // --- storage: shared by the tabs of a visitor; refused by a browser, the chat ends with the page ---
  const memory = {};
  const key = (name) => `frontdesk:${account}:${name}`;
  const load = (name) => {
    try { return JSON.parse(localStorage.getItem(key(name))); } catch { return memory[name] ?? null; }
  };
  const save = (name, value) => {
    memory[name] = value;
    try { localStorage.setItem(key(name), JSON.stringify(value)); } catch { /* memory has it */ }
  };
  const who = identity ? `u-${identity.user}` : "";
  const readKey = `read:${who}`, formKey = `form:${who}`;
  const queue = () => (load("outbox") || []).filter((item) => item.who === who);

  // --- settings of the account, and what comes only when it is needed ---
  let config = load("config") || {};
  const setting = (name) => conf[name] || config[name];
  let extras = null, loading = null;
  const more = () => loading ||= import(new URL("widget-more.js", script.src)).then((file) => extras = file.default(chat))
    .catch(() => { loading = null; return {}; });
  const use = (name, ...given) => more().then((found) => found[name]?.(...given));
  const isHeld = () => config.form?.some((field) => field.required) && !load(formKey);

  // --- session ---
  let starting = null;
  const stored = () => {
    const s = load("session");
    // Whoever logged in or out since may not see the other's chat.
    const mine = s && (identity ? s.user === who : s.user.startsWith("v-"));
    return mine && Date.parse(s.expires_at) > Date.now() ? s : null;
  };
  const startSession = async (old) => {
    const body = { language, ...(!old && identity) };
    const response = await request("sessions", body, old?.token);
    if (!response.ok) throw response;
    const session = { ...(await response.json()), at: Date.now() };
    save("session", session);
    return session;
  };
  const session = async () => {
    const s = stored();
    const ends = s && Date.parse(s.expires_at);
    // Renewed in the second half of its life.
    if (s && Date.now() < (s.at + ends) / 2) return s;
    starting ||= startSession(s).catch((error) => { if (s) return s; throw error; })
      .finally(() => { starting = null; });
    return starting;
  };
  const forget = (old) => {
    if (load("session")?.token === old.token) save("session", null);
    save(readKey, 0);
    startOver(); // another token may be another conversation
    control?.abort();
  };
  const request = (path, body, token) => fetch(base + path, {
    method: "POST", body: JSON.stringify(body), signal: AbortSignal.timeout(2e4),
    headers: { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) },
  });
  const post = async (path, body, again = true) => {
    const s = await session();
    const response = await request(path, body, s.token);
    if (response.status !== 401 || !again) return response;
    forget(s);
    return post(path, body, false);
  };

  // --- outbox: kept under its id until the server has it ---
  let flushing = false, flushTries = 0, flushTimer = 0;
  const flush = async () => {
    if (flushing) return;
    flushing = true;
    clearTimeout(flushTimer);
    try {
      for (let item; (item = queue()[0]) && !isHeld();) {
        const why = item.file && !item.attachment && await use("upload", item);
        const { id, text, button, location, attachment, welcome } = item;
        const response = why ? { status: 0 } : await post("messages", { id, text, button, location, attachment, welcome });
        if (response.status >= 500 || [401, 403, 408, 429].includes(response.status)) throw response;
        if (response.status === 422 && await use("again", item)) continue; // a file of a session that is over
        settle(item, response.ok && (await response.json()).seq, why);
        keep(item, true);
        flushTries = 0;
        notify("", 0);
      }
    } catch (error) {
      trouble(error);
      flushTimer = setTimeout(flush, backoff(flushTries++));
    } finally {
      flushing = false;
      stream();
    }
  };
  const backoff = (tries) => Math.min(3e4, 1000 * 2 ** tries) * (0.5 + Math.random() / 2);
  const newId = () => [...crypto.getRandomValues(new Uint32Array(4))].map((n) => n.toString(36)).join("-");
  const keep = (item, isDone) => save("outbox", [
    ...(load("outbox") || []).filter(({ id }) => id !== item.id), ...(isDone ? [] : [item]),
  ]);
  const say = (text, fields) => {
    const item = { id: newId(), text, at: new Date().toISOString(), who, welcome: load("welcome") || undefined, ...fields };
    keep(item);
    // Of several files one may have been refused.
    if (!item.file) notify("");
    if (item.welcome) save("welcome", "");
    showPending(item);
    dropSuggestions();
    scrollDown();
    flush();
  };

  // --- stream: server-sent events by fetch, since EventSource sends no token ---
  let after = 0, streaming = false, control = null, tries = 0, hideTimer = 0, paused = document.hidden, resume = () => {};
  const stream = async () => {
    if (streaming || paused || !(stored() || identity)) return;
    streaming = true;
    while (!paused) {
      control = new AbortController();
      try {
        const s = await session();
        const headers = { Authorization: `Bearer ${s.token}` };
        const response = await fetch(`${base}events?after=${after}`, { headers, signal: control.signal, cache: "no-store" });
        if (response.status === 401) forget(s);
        if (!response.ok) throw response;
        await readEvents(response.body.getReader());
      } catch (error) {
        if (!paused) trouble(error);
      }
      log.ariaLive = "off";
      if (!paused) await new Promise((done) => { resume = done; setTimeout(done, backoff(tries++)); });
    }
    streaming = false;
  };
  const readEvents = async (reader) => {
    const decoder = new TextDecoder();
    let text = "", watchdog = 0;
    // Heartbeats come every 15 s.
    const alive = () => { clearTimeout(watchdog); watchdog = setTimeout(() => control.abort(), 4e4); };
    try {
      for (;;) {
        alive();
        const { done, value } = await reader.read();
        if (done) return;
        tries = 0;
        notify("", 0);
        if (queue().length) flush();
        const blocks = (text + decoder.decode(value, { stream: true })).split("\n\n");
        text = blocks.pop();
        for (const block of blocks) {
          const line = block.split("\n").find((part) => part.startsWith("data: "));
          if (line) take(JSON.parse(line.slice(6)));
        }
        // History is not read out, only what comes after it.
        setTimeout(() => log.ariaLive = "polite", 500);
      }
    } finally {
      clearTimeout(watchdog);
    }
  };
  const pause = () => { paused = true; control?.abort(); resume(); };
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hideTimer);
    // Browsers allow six connections to a host: hidden tabs give theirs back.
    if (document.hidden) hideTimer = setTimeout(pause, isOpen ? 6e5 : 2e4);
    else { paused = false; resume(); stream(); markRead(); }
  });
  addEventListener("online", () => { tries = flushTries = 0; notify("", 0); resume(); flush(); stream(); });
  addEventListener("offline", () => { notify(T.offline, 0); control?.abort(); });
  addEventListener("storage", (event) => { // the visitor's other tabs
    if (event.key === key("session")) stream();
    if (event.key === key(readKey)) showUnread();
    if (event.key === key("draft") && input !== shadow.activeElement) { input.value = load("draft") || ""; grow(); }
    if (event.key === key("open") && !phone.matches) load("open") ? open(false) : close();
  });

  // --- what arrives ---
  const shown = new Map(); // seq -> bubble
  const bubbles = () => [...list.children];
  let lastSeq = 0, readTimer = 0;
  const take = (event) => {
    if (event.type === "reset") startOver();
    if (event.type === "typing") use("typing", event);
    if (event.type === "read") (event.author === "customer" ? setRead : markSeen)(event.seq);
    if (!(event.seq > after) || event.type) return;
    after = event.seq;
    if (event.kind === "event") return;
    const isOut = event.direction === "out";
    const old = shown.get(event.replaces ?? event.seq);
    if (old) {
      if (event.replaces) fill(old, event);
      return;
    }
    if (isOut) {
      extras?.typing?.(null);
      answerer.textContent = event.author === "operator" ? event.name || T.staff : T.bot;
      markSeen(event.seq);
      if (document.hidden && log.ariaLive === "polite") use("sound", event.seq);
    }
    // Our own message may come back before its answer: it is the one that waits with the same words.
    const waiting = !isOut && bubbles().find((node) => node.item && !node.seq && node.item.words === event.text && !node.item.file === !event.media);
    const isNear = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 120;
    if (waiting) number(waiting, event.seq);
    else place(bubble(event), event.seq);
    lastSeq = Math.max(lastSeq, event.seq);
    dropSuggestions();
    if (isNear) scrollDown();
    markRead();
  };
  const startOver = () => {
    after = lastSeq = 0;
    shown.clear();
    for (const node of bubbles()) if (node.seq) node.remove();
  };
  const settle = (item, seq, why) => {
    const node = bubbles().find((child) => child.item?.id === item.id);
    if (!node) return;
    if (!seq) status(node, why || T.failed, "failed");
    else if (shown.has(seq) && shown.get(seq) !== node) node.remove();
    else number(node, seq);
  };
  const number = (node, seq) => {
    status(node, T.sent);
    if (node.seq !== seq) place(node, seq);
  };
  const markSeen = (seq) => {
    for (const [n, node] of shown) if (n <= seq) status(node, T.seen);
  };
  const setRead = (seq) => { if (seq > (load(readKey) || 0)) save(readKey, seq); showUnread(); };
  const markRead = () => {
    showUnread();
    if (!isOpen || document.hidden || lastSeq <= (load(readKey) || 0)) return;
    clearTimeout(readTimer);
    readTimer = setTimeout(() => {
      if (!isOpen) return;
      setRead(lastSeq);
      post("read", { seq: lastSeq }).catch(() => {});
    }, 400);
  };

  // --- drawing ---
  const el = (what, props, ...children) => {
    const [tag, className = ""] = what.split(".");
    const node = Object.assign(document.createElement(tag), { className }, props);
    node.append(...children);
    return node;
  };
  const icon = (path) => {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    const line = document.createElementNS("http://www.w3.org/2000/svg", "path");
    line.setAttribute("d", path);
    svg.setAttribute("viewBox", "0 0 24 24");
    svg.setAttribute("aria-hidden", "true");
    svg.append(line);
    return svg;
  };
  const CHAT = "M4 5h16v11H9l-5 4z", CLOSE = "M6 6l12 12M18 6L6 18", SEND = "M5 12h13M12 5l7 7-7 7";
  const BOT = "M5 9h14v9H5zM12 9V5M9.5 13v1.5M14.5 13v1.5";
  const ATTACH = "M20 11l-8 8a5 5 0 0 1-7-7l8-8a3.4 3.4 0 0 1 5 5l-8 8a1.6 1.6 0 0 1-2.5-2.5L15 7";
  const MENU = "M5 11a1 1 0 1 0 .1 0zM12 11a1 1 0 1 0 .1 0zM19 11a1 1 0 1 0 .1 0z";
  const fill = (node, event) => {
    // Taken back by whoever said it.
    node.hidden = event.deleted;
    node.body.textContent = event.text || (event.location ? T.place : "");
    // Only our side's links and marks are live; a customer's words stay as they are.
    if (event.media || event.direction === "out" && (event.text_format || event.cards || event.ask || event.image_url || /https?:/.test(event.text))) use("dress", node, event);
  };
  const clock = (at) => {
    const date = new Date(at);
    const day = date.toDateString() !== new Date().toDateString() && { month: "short", day: "numeric" };
    return date.toLocaleString(lang === "zh" ? "zh-CN" : "en-GB", { ...day, hour: "2-digit", minute: "2-digit" });
  };
  const bubble = (event) => {
    const side = event.direction === "out" ? event.author : "me";
    const name = { me: T.you, bot: T.bot, operator: event.name || T.staff }[side] || "";
    const body = el("div.body", { dir: "auto" });
    const node = el("div", { className: `msg ${side}` });
    const meta = el("div.meta", {}, el("span.name", { textContent: name }), el("time", { textContent: clock(event.at) }));
    if (side === "bot") meta.prepend(icon(BOT));
    node.append(meta, body);
    node.body = body;
    fill(node, event);
    node.side = side + name;
    node.at = Date.parse(event.at);
    if (event.buttons?.length) {
      node.append(el("div.chips", {}, ...event.buttons.map(({ label, value }) => el("button", {
        type: "button", textContent: label, dir: "auto", onclick: () => press(label, value),
      }))));
    }
    if (side === "me") {
      node.item = { words: event.text };
      node.append(node.state = el("div.state"));
      if (event.seq) status(node, T.sent);
    }
    return node;
  };
  const status = (node, text, state = "") => {
    if (!node.item || node.state.textContent === T.seen) return;
    node.state.textContent = text;
    node.dataset.state = state;
  };
  const press = (label, value) => { say(undefined, { button: { value, label } }); input.focus(); };
  const showPending = (item) => {
    const words = item.button ? item.button.label : item.text || "";
    const node = bubble({ ...item, direction: "in", text: words, media: item.file && [item.file] });
    node.item = { id: item.id, words, file: item.file };
    status(node, T.sending, "pending");
    place(node);
  };
  const place = (node, seq) => {
    if (seq) { node.seq = seq; shown.set(seq, node); }
    // In sequence; what has no number yet comes last.
    const next = (seq && bubbles().find((other) => other !== node && !(other.seq < seq))) || null;
    if (node.nextElementSibling !== next || !node.isConnected) list.insertBefore(node, next);
    const previous = node.previousElementSibling;
    node.classList.toggle("joined", !!previous && previous.side === node.side && node.at - previous.at < 3e5);
    if (list.childElementCount > 400) list.firstElementChild.remove();
  };
  const dropSuggestions = () => {
    suggestions.hidden = list.childElementCount > 0;
    // Only the last message's buttons can be pressed: the others' moment is over.
    for (const chips of list.querySelectorAll(".chips")) chips.hidden = chips.parentNode !== list.lastElementChild;
  };
  const scrollDown = () => { scroller.scrollTop = scroller.scrollHeight; };
  // 0: of the connection, goes with its trouble; 1: to the visitor, stays until they do something else.
  const notices = ["", ""];
  const notify = (text, of = 1) => {
    notices[of] = text;
    const told = notices[0] || notices[1];
    // The same again is not read out again.
    if (notice.textContent !== told) notice.textContent = told;
    notice.hidden = !told;
  };
  const trouble = (error) => {
    if (error.status === 403) notify(T.expired, 0);
    else if (!navigator.onLine || queue().length || tries > 1) notify(T.offline, 0);
  };
  const showUnread = () => {
    const seen = load(readKey) || 0;
    const count = [...shown].filter(([seq, node]) => seq > seen && !node.item).length;
    badge.hidden = isOpen || !count;
    badge.textContent = count;
    launcher.ariaLabel = count && !isOpen ? `${T.open} (${count})` : T.open;
    const name = (count && !isOpen ? `(${count}) ` : "") + document.title.replace(/^\(\d+\) /, "");
    if (document.title !== name) document.title = name;
  };

  // --- the card ---
  const CSS = `
  :host{all:initial;--bg:#fff;--surface:#f6f7f9;--text:#1b1f24;--muted:#5d6878;--line:#e4e7ec;--accent:#1f6feb;--on:#fff;--tint:#e8f0fe;--bad:#c01e2e;position:fixed;z-index:2147483000;bottom:0}
  :host([theme=dark]){color-scheme:dark;--bg:#14161a;--surface:#23272e;--text:#e8eaed;--muted:#98a2b3;--line:#2c3138;--accent:#5b9cff;--on:#0b1220;--tint:#1d2d47;--bad:#ff6b76}
  *{box-sizing:border-box;font:inherit}
  [hidden]{display:none!important}
  .root{font:14px/1.5 -apple-system,"Segoe UI","PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif;color:var(--text);font-variant-numeric:tabular-nums}
  svg{width:24px;height:24px;fill:none;stroke:currentColor;stroke-width:1.8;stroke-linecap:round;stroke-linejoin:round;display:block}
  button{cursor:pointer;border:0;background:none;color:inherit;padding:0}
  :focus-visible{outline:2px solid var(--accent);outline-offset:2px}
  .mark,.icon,.send,.launcher{flex:none;width:36px;height:36px;border-radius:8px;display:grid;place-items:center}
  .card,.launcher{position:fixed;inset:auto;inset-inline-end:24px;bottom:24px;box-shadow:0 12px 40px #10182840}
  :host([side=left]) :is(.card,.launcher){inset-inline:24px auto}
  .send,.launcher,.me .body{background:var(--accent);color:var(--on)}
  .launcher{width:56px;height:56px;border-radius:50%}
  .badge{position:absolute;top:-4px;inset-inline-end:-4px;min-width:20px;height:20px;padding:0 6px;border-radius:10px;background:var(--bad);color:var(--bg);font-size:12px;line-height:20px}
  .card{width:384px;height:min(640px,calc(100vh - 48px));max-width:none;max-height:none;margin:0;padding:0;border:1px solid var(--line);flex-direction:column;color:inherit;background:var(--bg);border-radius:12px;overflow:hidden;animation:in .16s ease-out}
  .card[open]{display:flex}
  @keyframes in{from{opacity:0;transform:translateY(8px)}}
  header{display:flex;align-items:center;gap:12px;padding:12px 12px 12px 16px;border-bottom:1px solid var(--line)}
  .mark{background:var(--tint);color:var(--accent)}
  .who{flex:1;min-width:0}
  h2{margin:0;font-size:16px;font-weight:600}
  .sub{font-size:12px;color:var(--muted)}
  .icon{color:var(--muted)}
  form .icon{margin-bottom:1px}
  .icon:hover,.chips button:hover{background:var(--tint)}
  .icon svg,.send svg{width:20px;height:20px}
  .notice{padding:8px 16px;background:var(--tint);font-size:12px}
  .scroll{flex:1;overflow-y:auto;overscroll-behavior:contain;padding:0 16px 16px;outline-offset:-2px}
  .body{padding:7px 12px;border:1px solid transparent;border-radius:12px;overflow-wrap:anywhere;white-space:pre-wrap;width:fit-content;max-width:100%;unicode-bidi:plaintext;background:var(--surface);border-start-start-radius:4px}
  b{font-weight:600}
  .body:empty::after{content:"\\00a0"}
  .body a{color:color-mix(in srgb,var(--accent) 85%,var(--text))}
  .msg{max-width:88%;margin-top:16px;display:flex;flex-direction:column;align-items:flex-start}
  .msg.joined{margin-top:4px}
  .joined .meta,.me .name{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
  .meta{display:flex;align-items:center;gap:6px;margin-bottom:4px;font-size:12px;color:var(--muted)}
  .meta svg{width:14px;height:14px;color:var(--accent)}
  .operator .name{color:var(--text);font-weight:600}
  .operator .body{background:var(--tint)}
  .system{color:var(--muted);font-size:12px}
  .me{margin-inline-start:auto;align-items:flex-end}
  .me .body{border-radius:12px;border-end-end-radius:4px}
  [data-state=pending] .body{background:var(--tint);color:var(--text)}
  [data-state=failed] .body{background:none;color:var(--bad);border-color:currentColor}
  .state{font-size:12px;color:var(--muted);margin-top:2px}
  [data-state=""]:not(:last-child) .state{display:none}
  [data-state=failed] .state{color:var(--bad)}
  .chips{display:flex;flex-wrap:wrap;gap:8px;margin-top:8px}
  .chips button{padding:6px 12px;min-height:36px;border-radius:18px;border:1px solid var(--accent);color:var(--accent);background:var(--bg);text-align:start;overflow-wrap:anywhere}
  form{display:flex;align-items:flex-end;gap:8px;margin:0 12px 12px;padding:4px;border:1px solid var(--line);border-radius:12px;background:var(--bg)}
  form:focus-within{border-color:var(--accent);box-shadow:0 0 0 1px var(--accent)}
  textarea{flex:1;min-width:0;resize:none;border:0;background:none;color:inherit;padding:8px;max-height:120px;height:37px;line-height:21px}
  textarea:focus-visible{outline:0}textarea::placeholder{color:var(--muted);opacity:1}
  :dir(rtl) .send svg{transform:scaleX(-1)}
  .send:disabled{background:var(--surface);color:var(--muted);cursor:default}
  @media (max-width:480px){.card{inset:0;width:100%;height:100dvh;border:0;border-radius:0}textarea{font-size:16px}.launcher.launcher{inset-inline-end:16px;bottom:16px}}
  @media (prefers-reduced-motion:reduce){*{animation:none!important}}`;

  const list = el("div.list");
  const log = el("div", { role: "log", ariaLive: "off", ariaLabel: T.log }, list);
  const suggestions = el("div.chips", {}, ...questions.map((text) => el("button", {
    type: "button", textContent: text, onclick: () => { say(text); input.focus(); },
  })));
  const greet = el("div.msg", {}, el("div.body", { textContent: conf.greeting || T.greet }), suggestions);
  const scroller = el("div.scroll", { tabIndex: 0 }, greet, log);
  const notice = el("div.notice", { role: "status", hidden: true });
  const answerer = el("div.sub", { textContent: T.bot });
  const heading = el("h2");
  const tool = (name, path, onclick) => el("button.icon", { type: "button", ariaLabel: name, title: name, onclick }, icon(path));
  const closeButton = tool(T.close, CLOSE, () => close());
  const menuButton = tool(T.menu, MENU, () => use("menu", menuButton));
  menuButton.ariaHasPopup = "menu";
  const attachButton = tool(T.attach, ATTACH, () => use("choose"));
  const input = el("textarea", { rows: 1, maxLength: 20000, placeholder: T.write, dir: "auto", enterKeyHint: "send", ariaLabel: T.write });
  const sendButton = el("button.send", { disabled: true, title: T.send, ariaLabel: T.send }, icon(SEND));
  const form = el("form", {}, attachButton, input, sendButton);
  const card = el("dialog.card", { tabIndex: -1 },
    el("header", {}, el("div.mark", {}, icon(CHAT)), el("div.who", {}, heading, answerer), menuButton, closeButton),
    notice, scroller, form);
  const badge = el("span.badge", { ariaHidden: true, hidden: true });
  const launcher = el("button.launcher", { type: "button", ariaLabel: T.open, ariaHasPopup: "dialog" }, icon(CHAT), badge);
  const host = el("div", { id: "frontdesk-chat", lang: lang === "zh" ? "zh-CN" : "en" });
  const shadow = host.attachShadow({ mode: "open" });
  shadow.append(el("div.root", {}, card, launcher));
  const addStyle = (css) => { // no content security policy forbids a constructed sheet
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    shadow.adoptedStyleSheets = [...shadow.adoptedStyleSheets, sheet];
  };
  addStyle(CSS);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const look = () => {
    const theme = setting("theme");
    host.setAttribute("theme", /^(light|dark)$/.test(theme) ? theme : dark.matches ? "dark" : "light");
    host.setAttribute("side", setting("position") || "right");
    heading.textContent = card.ariaLabel = setting("title") || T.title;
    attachButton.hidden = !config.max_upload_bytes;
    if (setting("accent") || extras) use("accent");
  };
  dark.onchange = look;
  look();

  let isOpen = false;
  const phone = matchMedia("(max-width: 480px)");
  const open = (focus = true) => {
    if (isOpen) return;
    isOpen = true;
    const before = document.activeElement;
    if (phone.matches) card.showModal(); else card.show();
    if (!focus) before?.focus({ preventScroll: true });
    else if (!matchMedia("(pointer: coarse)").matches) input.focus({ preventScroll: true });
    launcher.hidden = true;
    save("open", true);
    use("begin", focus);
    grow();
    scrollDown();
    stream();
    flush();
    markRead();
  };
  const close = () => card.close();
  card.onclose = () => {
    isOpen = false;
    launcher.hidden = false;
    save("open", false);
    extras?.fit?.();
    showUnread();
    launcher.focus();
  };
  const grow = () => {
    sendButton.disabled = !input.value.trim();
    input.style.height = "37px";
    input.style.height = `${Math.min(120, input.scrollHeight)}px`;
  };
  const submit = () => {
    const text = input.value;
    input.value = "";
    save("draft", "");
    grow();
    if (text.trim()) say(text);
  };
  let typedAt = 0;
  launcher.onclick = () => open();
  form.onsubmit = (event) => { event.preventDefault(); submit(); input.focus(); };
  input.oninput = () => {
    grow();
    save("draft", input.value);
    if (!stored() || notices[0] || Date.now() - typedAt < 3000) return;
    typedAt = Date.now();
    post("typing").catch(() => {}); // a courtesy
  };
  input.onkeydown = (event) => {
    // Enter that ends a composition is the input method's; Safari reports it after the end, as key 229.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    submit();
  };
  card.onkeydown = (event) => {
    event.stopPropagation(); // not for the page's shortcuts
    if (event.key === "Escape" && !event.isComposing) close();
  };
  document.addEventListener("click", (event) => {
    const target = event.target.closest?.("[data-frontdesk-open],[data-frontdesk-ask]");
    if (!target) return;
    event.preventDefault();
    open();
    if (target.dataset.frontdeskAsk) say(target.dataset.frontdeskAsk);
  });

  window.Frontdesk = { open, close, ask: (text) => { open(); say(String(text)); } };
  const chat = { // for widget-more.js
    conf, config: () => config, setting, T, lang, base, account, who, formKey, load, save, el, icon, post, session, forget,
    newId, say, press, keep, queue, flush, notify, status, bubbles, scrollDown, addStyle, open, isOpen: () => isOpen, phone,
    host, shadow, card, form, input, list, scroller, launcher,
  };
  const start = () => {
    document.body.append(host);
    input.value = load("draft") || "";
    fetch(`${base}config`).then((response) => response.json()).then((found) => {
      if (found.error) return;
      save("config", config = found);
      look();
      if (isOpen) use("begin");
      else if (setting("welcome")) use("welcome");
    }).catch(() => {});
    queue().forEach(showPending);
    dropSuggestions();
    flush();
    stream();
    if (("open" in conf ? load("open") !== false : load("open")) && !phone.matches) open(false);
  };
  if (document.body) start(); else addEventListener("DOMContentLoaded", start);
})();
