/* Frontdesk web chat: one script tag, no dependency. docs/web.md lists the data- attributes. */
(() => {
  "use strict";
  const script = document.currentScript;
  if (!script || window.Frontdesk) return;
  const conf = script.dataset;
  const account = conf.account || "default";
  const base = new URL(`channels/web/${account}/`, script.src).href;
  const lang = (conf.language || navigator.language || "en").toLowerCase().startsWith("zh") ? "zh" : "en";
  const T = {
    zh: {
      title: "在线客服", open: "打开在线客服", close: "关闭", bot: "自动助手", staff: "客服", you: "您", log: "对话内容",
      greet: "您好，这里是在线客服。请直接写下您的问题，我会马上回答；需要时会转给同事。",
      ask: ["我的订单到哪了？", "我想退货", "你们几点营业？", "我要投诉"],
      write: "输入消息", send: "发送", sending: "等待发送", sent: "已送达", seen: "已读", failed: "未能发送，请缩短后重试",
      offline: "网络已断开。您写的消息会保留，恢复后自动发送。", typing: "正在输入", unread: "条未读消息",
      expired: "登录已过期，请刷新页面。", today: "今天", image: "图片",
    },
    en: {
      title: "Customer service", open: "Open the chat", close: "Close", bot: "Automatic assistant", staff: "Our team",
      you: "You", log: "Conversation",
      greet: "Hello, this is customer service. Write what you need and you will be answered right away; a colleague takes over when needed.",
      ask: ["Where is my order?", "I want to return something", "When are you open?", "I want to make a complaint"],
      write: "Write a message", send: "Send", sending: "Waiting to be sent", sent: "Delivered", seen: "Seen",
      failed: "Could not be sent. Please shorten it and try again.",
      offline: "You are offline. What you write is kept and sent once you are back.", typing: "is typing", unread: "unread messages",
      expired: "Your sign-in has expired. Please reload the page.", today: "Today", image: "Picture",
    },
  }[lang];
  const questions = conf.questions ? conf.questions.split("|").slice(0, 4) : T.ask;
  const identity = conf.user && {
    user: conf.user, signature: conf.signature, issued_at: +conf.issuedAt, ...(conf.name && { name: conf.name }),
  };

  // --- storage: shared by the tabs of one visitor; a browser that refuses it gets a chat that ends with the page ---
  const memory = {};
  const key = (name) => `frontdesk:${account}:${name}`;
  const load = (name) => {
    try { return JSON.parse(localStorage.getItem(key(name))); } catch { return memory[name] ?? null; }
  };
  const save = (name, value) => {
    memory[name] = value;
    try { localStorage.setItem(key(name), JSON.stringify(value)); } catch { /* kept in memory */ }
  };
  const who = identity ? `u-${identity.user}` : "";
  const queue = () => (load("outbox") || []).filter((item) => item.who === who);

  // --- session ---
  let starting = null;
  const stored = () => {
    const s = load("session");
    // The chat of somebody who has logged in or out since is not this visitor's.
    const mine = s && (identity ? s.user === who : s.user.startsWith("v-"));
    return mine && Date.parse(s.expires_at) > Date.now() ? s : null;
  };
  const startSession = async (old) => {
    const headers = { "Content-Type": "application/json" };
    if (old) headers.Authorization = `Bearer ${old.token}`;
    const body = JSON.stringify({ language: conf.language || navigator.language, ...(!old && identity) });
    const response = await request("sessions", { method: "POST", headers, body });
    if (!response.ok) throw Object.assign(new Error("no session"), { status: response.status });
    const session = { ...(await response.json()), at: Date.now() };
    save("session", session);
    return session;
  };
  const session = async () => {
    const s = stored();
    const isAging = s && Date.parse(s.expires_at) - Date.now() < (Date.parse(s.expires_at) - s.at) / 2;
    if (s && !isAging) return s;
    starting ||= startSession(s).catch((error) => { if (s && error.status !== 401) return s; throw error; })
      .finally(() => { starting = null; });
    return starting;
  };
  const forget = (old) => {
    if (load("session")?.token === old.token) save("session", null);
    startOver(); // another token may mean another conversation
  };
  const request = async (path, options, timeout = 20000) => {
    const control = new AbortController();
    const timer = setTimeout(() => control.abort(), timeout);
    try { return await fetch(base + path, { ...options, signal: control.signal }); } finally { clearTimeout(timer); }
  };
  const post = async (path, body, again = true) => {
    const s = await session();
    const headers = { Authorization: `Bearer ${s.token}`, "Content-Type": "application/json" };
    const response = await request(path, { method: "POST", headers, body: JSON.stringify(body) });
    if (response.status !== 401 || !again) return response;
    forget(s);
    return post(path, body, false);
  };

  // --- outbox: what was written is kept under its id until the server has it, whatever happens to the page ---
  let flushing = false, flushTries = 0, flushTimer = 0;
  const flush = async () => {
    if (flushing) return;
    flushing = true;
    clearTimeout(flushTimer);
    try {
      for (let item; (item = queue()[0]);) {
        const response = await post("messages", { id: item.id, text: item.text, button: item.button });
        const { ok, status } = response;
        if (!ok && (status >= 500 || [401, 403, 408, 429].includes(status))) throw new Error("later");
        if (ok) delivered(item, (await response.json()).seq); else rejected(item);
        save("outbox", (load("outbox") || []).filter(({ id }) => id !== item.id));
        flushTries = 0;
        setOnline(true);
      }
    } catch (error) {
      trouble(error);
      flushTimer = setTimeout(flush, backoff(flushTries++));
    } finally {
      flushing = false;
    }
  };
  const backoff = (tries) => Math.min(30000, 1000 * 2 ** tries) * (0.5 + Math.random() / 2);
  const randomId = () => Array.from(crypto.getRandomValues(new Uint8Array(12)), (n) => n.toString(16).padStart(2, "0")).join("");
  const say = (text, button) => {
    const item = { id: randomId(), text: button ? undefined : text, button, at: new Date().toISOString(), who };
    save("outbox", [...(load("outbox") || []), item]);
    showPending(item);
    dropSuggestions();
    scrollDown(true);
    flush().then(stream);
  };

  // --- stream: server-sent events by fetch, because EventSource can neither send a header nor leave the token out of the URL ---
  let after = 0, streaming = false, control = null, tries = 0, hideTimer = 0, paused = document.hidden, resume = () => {};
  const stream = async () => {
    if (streaming || paused || !(stored() || identity)) return;
    streaming = true;
    while (!paused) {
      let s = null;
      control = new AbortController();
      try {
        s = await session();
        const headers = { Authorization: `Bearer ${s.token}` };
        const response = await fetch(`${base}events?after=${after}`, { headers, signal: control.signal, cache: "no-store" });
        if (response.status === 401) forget(s);
        if (!response.ok) throw new Error("no stream");
        await readEvents(response.body.getReader());
      } catch (error) {
        if (!paused) trouble(error);
      }
      log.setAttribute("aria-live", "off");
      if (!paused) await new Promise((done) => { resume = done; setTimeout(done, backoff(tries++)); });
    }
    streaming = false;
  };
  const readEvents = async (reader) => {
    const decoder = new TextDecoder();
    let text = "", watchdog = 0;
    const alive = () => { clearTimeout(watchdog); watchdog = setTimeout(() => control.abort(), 40000); }; // heartbeats come every 15 s
    try {
      for (;;) {
        alive();
        const { done, value } = await reader.read();
        if (done) return;
        tries = 0;
        setOnline(true);
        if (queue().length) flush();
        const blocks = (text + decoder.decode(value, { stream: true })).split("\n\n");
        text = blocks.pop();
        for (const block of blocks) {
          const line = block.split("\n").find((part) => part.startsWith("data: "));
          if (line) take(JSON.parse(line.slice(6)));
        }
        // History is not news: only what comes after it is read out.
        setTimeout(() => log.setAttribute("aria-live", "polite"), 500);
      }
    } finally {
      clearTimeout(watchdog);
    }
  };
  const pause = () => { paused = true; control?.abort(); resume(); };
  document.addEventListener("visibilitychange", () => {
    clearTimeout(hideTimer);
    // Browsers allow six connections to a host: hidden tabs give theirs back, later when a conversation is on screen.
    if (document.hidden) hideTimer = setTimeout(pause, isOpen ? 600000 : 20000);
    else { paused = false; resume(); stream(); markRead(); }
  });
  addEventListener("online", () => { tries = flushTries = 0; setOnline(true); resume(); flush(); stream(); });
  addEventListener("offline", () => { setOnline(false); control?.abort(); });
  addEventListener("storage", (event) => { if (event.key === key("session")) stream(); });

  // --- what arrives ---
  const shown = new Map(); // seq -> bubble
  let lastSeq = 0, typingTimer = 0;
  const take = (event) => {
    if (event.type === "reset") return startOver();
    if (event.type === "typing") return showTyping(event);
    if (event.type === "read") return event.author === "customer" ? setRead(event.seq) : markSeen(event.seq);
    if (event.seq <= after) return undefined;
    after = event.seq;
    const isOut = event.direction === "out";
    const old = shown.get(event.replaces ?? event.seq);
    if (old) {
      if (event.replaces) fill(old.body, event);
      return undefined;
    }
    if (isOut) {
      showTyping(null);
      answerer.textContent = event.author === "operator" ? event.name || T.staff : T.bot;
      markSeen(event.seq);
    }
    // Our own message may come back before its answer does: the one that waits under the same words is it.
    const waiting = !isOut && [...list.children].find((node) => node.item && !node.seq && node.item.words === event.text);
    const isNear = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 120;
    if (waiting) number(waiting, event.seq);
    else place(bubble(event), event.seq);
    lastSeq = Math.max(lastSeq, event.seq);
    dropSuggestions();
    if (isNear) scrollDown();
    markRead();
    return undefined;
  };
  const startOver = () => {
    after = lastSeq = 0;
    shown.clear();
    for (const node of [...list.children]) if (node.seq) node.remove();
  };
  const delivered = (item, seq) => {
    const node = [...list.children].find((child) => child.item?.id === item.id);
    if (!node) return;
    if (shown.has(seq) && shown.get(seq) !== node) node.remove();
    else number(node, seq);
  };
  const rejected = (item) => {
    const node = [...list.children].find((child) => child.item?.id === item.id);
    node?.classList.add("failed");
    status(node, T.failed);
  };
  const number = (node, seq) => {
    status(node, T.sent);
    node.classList.remove("pending");
    if (node.seq !== seq) place(node, seq);
  };
  const markSeen = (seq) => {
    for (const [n, node] of shown) if (n < seq + 1 && node.item) status(node, T.seen);
  };
  let readTimer = 0;
  const setRead = (seq) => { if (seq > (load("read") || 0)) save("read", seq); showUnread(); };
  const markRead = () => {
    showUnread();
    if (!isOpen || document.hidden || lastSeq <= (load("read") || 0)) return;
    clearTimeout(readTimer);
    readTimer = setTimeout(() => {
      setRead(lastSeq);
      post("read", { seq: lastSeq }).catch(() => {}); // the next message says it again
    }, 400);
  };

  // --- drawing ---
  const el = (tag, props = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(props)) {
      if (name in node && name !== "role") node[name] = value; else node.setAttribute(name, value);
    }
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
  const BOT = "M5 9h14v9H5zM12 9V5M9.5 13v1.5M14.5 13v1.5", STAFF = "M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8zM4.5 20c1-4 4-5.500 7.500-5.500s6.500 1.500 7.500 5.500";
  const LINK = /https?:\/\/[^\s<>"'，。；、）】》！？]+/g;
  const fill = (body, event) => {
    body.replaceChildren();
    const text = event.text;
    let at = 0;
    if (event.direction === "out") {
      for (const match of text.matchAll(LINK)) {
        const url = match[0].replace(/[.,;:!?)\]]+$/, "");
        body.append(text.slice(at, match.index), el("a", { href: url, target: "_blank", rel: "noopener noreferrer", textContent: url }));
        at = match.index + url.length;
      }
    }
    body.append(text.slice(at));
    if (/^https?:\/\//.test(event.image_url || "")) body.append(el("img", { src: event.image_url, alt: T.image, loading: "lazy" }));
  };
  const clock = (at) => {
    const date = at ? new Date(at) : new Date();
    const isToday = date.toDateString() === new Date().toDateString();
    const day = isToday ? {} : { month: "short", day: "numeric" };
    return date.toLocaleString(lang === "zh" ? "zh-CN" : "en-GB", { ...day, hour: "2-digit", minute: "2-digit" });
  };
  const bubble = (event) => {
    const side = event.direction === "out" ? event.author : "me";
    const name = { me: T.you, bot: T.bot, operator: event.name || T.staff }[side] || "";
    const body = el("div", { className: "body", dir: "auto" });
    const node = el("div", { className: `msg ${side}` });
    const meta = el("div", { className: "meta" }, el("span", { className: "name", textContent: name }), el("time", { textContent: clock(event.at), dateTime: event.at || "" }));
    if (side === "bot" || side === "operator") meta.prepend(icon(side === "bot" ? BOT : STAFF));
    fill(body, event);
    node.append(meta, body);
    node.body = body;
    node.side = side + name;
    node.at = Date.parse(event.at) || Date.now();
    if (event.buttons?.length) {
      node.append(el("div", { className: "chips" }, ...event.buttons.map(({ label, value }) => el("button", {
        type: "button", textContent: label, dir: "auto", onclick: () => { say(label, { value, label }); input.focus(); },
      }))));
    }
    if (side === "me") {
      node.item = { words: event.text };
      node.append(el("div", { className: "state" }));
      if (event.seq) status(node, T.sent);
    }
    return node;
  };
  const status = (node, text) => {
    const state = node?.querySelector(".state");
    if (state && state.textContent !== T.seen) state.textContent = text;
  };
  const showPending = (item) => {
    const words = item.button ? item.button.label : item.text;
    const node = bubble({ direction: "in", text: words, at: item.at });
    node.item = { id: item.id, words };
    node.classList.add("pending");
    status(node, T.sending);
    place(node);
  };
  const place = (node, seq) => {
    if (seq) { node.seq = seq; shown.set(seq, node); }
    // In sequence; what has no number yet stays last.
    let next = null;
    for (let other = list.lastElementChild; other && other !== node && seq && !(other.seq < seq); other = other.previousElementSibling) next = other;
    if (next !== node && (node.nextElementSibling !== next || !node.isConnected)) list.insertBefore(node, next);
    const previous = node.previousElementSibling;
    node.classList.toggle("joined", !!previous && previous.side === node.side && node.at - previous.at < 300000);
    if (list.childElementCount > 400) list.firstElementChild.remove();
  };
  const dropSuggestions = () => {
    suggestions.hidden = list.childElementCount > 0;
    // Buttons belong to the moment they were offered in: only those of the last message can be pressed.
    for (const chips of list.querySelectorAll(".chips")) chips.hidden = chips.parentNode !== list.lastElementChild;
  };
  const showTyping = (event) => {
    clearTimeout(typingTimer);
    typing.hidden = !event;
    if (!event) return;
    typing.setAttribute("aria-label", `${event.name || T.bot} ${T.typing}`);
    typingTimer = setTimeout(showTyping, 8000, null);
    scrollDown();
  };
  const scrollDown = () => { scroller.scrollTop = scroller.scrollHeight; };
  const setOnline = (isOnline) => { notice.hidden = isOnline; if (!isOnline) notice.textContent = T.offline; };
  const trouble = (error) => {
    if (error.status === 403) { notice.textContent = T.expired; notice.hidden = false; }
    else if (!navigator.onLine || queue().length || tries > 1) setOnline(false);
  };
  const showUnread = () => {
    const seen = load("read") || 0;
    const count = [...shown].filter(([seq, node]) => seq > seen && node.side !== `me${T.you}`).length;
    badge.hidden = isOpen || !count;
    badge.textContent = count > 9 ? "9+" : count;
    launcher.setAttribute("aria-label", count && !isOpen ? `${T.open} (${count} ${T.unread})` : T.open);
  };

  // --- the card ---
  const CSS = `
:host{all:initial;--bg:#fff;--surface:#f6f7f9;--text:#1b1f24;--muted:#5d6878;--line:#e4e7ec;--accent:#1f6feb;--on:#fff;--tint:#e8f0fe;--bad:#c01e2e;--warn:#8a3b05;--warnbg:#fff6e5;--shadow:0 12px 40px #10182833,0 2px 8px #1018281f;position:fixed;z-index:2147483000;inset-inline-end:0;bottom:0}
:host([theme=dark]){color-scheme:dark;--bg:#14161a;--surface:#23272e;--text:#e8eaed;--muted:#98a2b3;--line:#2c3138;--accent:#5b9cff;--on:#0b1220;--tint:#1d2d47;--bad:#ff6b76;--warn:#f5a524;--warnbg:#2b2415;--shadow:0 12px 40px #000a,0 0 0 1px #2c3138}
*{box-sizing:border-box;font:inherit;letter-spacing:inherit}
[hidden]{display:none!important}
.root{font:14px/1.5 -apple-system,"Segoe UI","PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif;color:var(--text);font-variant-numeric:tabular-nums;text-align:start}
svg{width:24px;height:24px;fill:none;stroke:currentColor;stroke-width:1.8;stroke-linecap:round;stroke-linejoin:round;display:block}
button{cursor:pointer;border:0;background:none;color:inherit;padding:0}
:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
.launcher{position:fixed;inset-inline-end:24px;bottom:24px;width:56px;height:56px;border-radius:50%;background:var(--accent);color:var(--on);display:grid;place-items:center;box-shadow:var(--shadow)}
.badge{position:absolute;top:-4px;inset-inline-end:-4px;min-width:20px;height:20px;padding:0 6px;border-radius:10px;background:var(--bad);color:var(--bg);font-size:12px;line-height:20px;font-weight:600;text-align:center}
.card{position:fixed;inset-inline-end:24px;bottom:24px;width:384px;height:min(640px,calc(100vh - 48px));display:flex;flex-direction:column;background:var(--bg);border-radius:12px;box-shadow:var(--shadow);overflow:hidden;animation:in .16s ease-out}
@keyframes in{from{opacity:0;transform:translateY(8px)}}
header{display:flex;align-items:center;gap:12px;padding:12px 12px 12px 16px;border-bottom:1px solid var(--line)}
.mark{width:36px;height:36px;border-radius:10px;background:var(--tint);color:var(--accent);display:grid;place-items:center;flex:none}
.who{flex:1;min-width:0}
h2{margin:0;font-size:16px;font-weight:600;line-height:1.4;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.sub{font-size:12px;color:var(--muted)}
.icon{width:36px;height:36px;border-radius:6px;display:grid;place-items:center;color:var(--muted);flex:none}
.icon:hover{background:var(--surface);color:var(--text)}
.icon svg{width:20px;height:20px}
.notice{padding:8px 16px;background:var(--warnbg);color:var(--warn);font-size:12px}
.scroll{flex:1;overflow-y:auto;overscroll-behavior:contain;padding:16px;outline-offset:-2px}
.greet{max-width:88%;margin-bottom:16px}
.greet .body{white-space:normal}
.body{padding:8px 12px;border-radius:12px;overflow-wrap:anywhere;white-space:pre-wrap;width:fit-content;max-width:100%;unicode-bidi:plaintext;background:var(--surface);border-start-start-radius:4px}
.body:empty::after{content:"\\00a0"}
.body a{color:var(--accent);text-underline-offset:2px}
.body img{display:block;max-width:100%;border-radius:6px;margin-top:8px}
.msg{max-width:88%;margin-top:16px;display:flex;flex-direction:column;align-items:flex-start}
.msg.joined{margin-top:4px}
.joined .meta{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.meta{display:flex;align-items:center;gap:6px;margin-bottom:4px;font-size:12px;color:var(--muted)}
.meta svg{width:14px;height:14px;color:var(--accent)}
.operator .name{color:var(--text);font-weight:600}
.operator .body{background:var(--tint)}
.system{max-width:100%;align-items:center;color:var(--muted);font-size:12px}
.system .body{background:none;text-align:center}
.me{margin-inline-start:auto;align-items:flex-end}
.me .name{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.me .body{background:var(--accent);color:var(--on);border-radius:12px;border-end-end-radius:4px}
.pending .body{opacity:.7}
.failed .body{background:none;color:var(--bad);box-shadow:inset 0 0 0 1px var(--bad);opacity:1}
.state{font-size:12px;color:var(--muted);margin-top:2px}
.msg:not(:last-child):not(.pending):not(.failed) .state{display:none}
.failed .state{color:var(--bad)}
.chips{display:flex;flex-wrap:wrap;gap:8px;margin-top:8px}
.chips button{padding:6px 12px;min-height:36px;border-radius:18px;border:1px solid var(--accent);color:var(--accent);background:var(--bg);text-align:start;overflow-wrap:anywhere}
.chips button:hover{background:var(--tint)}
.typing{display:inline-flex;gap:4px;margin-top:12px;padding:13px 12px;border-radius:12px;border-start-start-radius:4px;background:var(--surface)}
.typing i{width:6px;height:6px;border-radius:50%;background:var(--muted);animation:dot 1.2s infinite}
.typing i:nth-child(2){animation-delay:.15s}.typing i:nth-child(3){animation-delay:.3s}
@keyframes dot{0%,60%,100%{opacity:.35}30%{opacity:1}}
form{display:flex;align-items:flex-end;gap:8px;margin:0 12px 12px;padding:4px;border:1px solid var(--line);border-radius:12px;background:var(--bg)}
form:focus-within{border-color:var(--accent);box-shadow:0 0 0 1px var(--accent)}
textarea{flex:1;min-width:0;resize:none;border:0;outline:0;background:none;color:inherit;font-size:14px;padding:8px;max-height:120px;height:37px;line-height:21px}
textarea::placeholder{color:var(--muted);opacity:1}
.send{width:36px;height:36px;border-radius:8px;background:var(--accent);color:var(--on);display:grid;place-items:center;flex:none}
.send svg{width:20px;height:20px}
:dir(rtl) .send svg{transform:scaleX(-1)}
.send:disabled{background:var(--surface);color:var(--muted);cursor:default}
@media (max-width:480px){.card{inset:0;width:100%;height:100dvh;border-radius:0}textarea{font-size:16px}.launcher{inset-inline-end:16px;bottom:16px}}
@media (prefers-reduced-motion:reduce){*{animation:none!important;scroll-behavior:auto}}
@media (forced-colors:active){.body,.send,.launcher{border:1px solid}}`;

  const list = el("div", { className: "list" });
  const log = el("div", { role: "log", "aria-live": "off", "aria-label": T.log }, list);
  const suggestions = el("div", { className: "chips" }, ...questions.map((text) => el("button", {
    type: "button", textContent: text, onclick: () => { say(text); input.focus(); },
  })));
  const greet = el("div", { className: "greet" }, el("div", { className: "body", textContent: conf.greeting || T.greet }), suggestions);
  const typing = el("div", { className: "typing", role: "status", hidden: true }, el("i"), el("i"), el("i"));
  const scroller = el("div", { className: "scroll", tabIndex: 0 }, greet, log, typing);
  const notice = el("div", { className: "notice", role: "status", hidden: true });
  const answerer = el("div", { className: "sub", textContent: T.bot });
  const title = conf.title || T.title;
  const closeButton = el("button", { type: "button", className: "icon", "aria-label": T.close, title: T.close }, icon(CLOSE));
  const input = el("textarea", { rows: 1, maxLength: 20000, placeholder: T.write, dir: "auto", enterKeyHint: "send", "aria-label": T.write });
  const sendButton = el("button", { className: "send", disabled: true, "aria-label": T.send, title: T.send }, icon(SEND));
  const form = el("form", {}, input, sendButton);
  const card = el("div", { className: "card", role: "dialog", "aria-label": title, hidden: true, tabIndex: -1 },
    el("header", {}, el("div", { className: "mark" }, icon(CHAT)), el("div", { className: "who" }, el("h2", { textContent: title }), answerer), closeButton),
    notice, scroller, form);
  const badge = el("span", { className: "badge", "aria-hidden": "true", hidden: true });
  const launcher = el("button", { type: "button", className: "launcher", "aria-label": T.open, "aria-haspopup": "dialog" }, icon(CHAT), badge);
  const host = el("div", { id: "frontdesk-chat", lang: lang === "zh" ? "zh-CN" : "en" });
  const shadow = host.attachShadow({ mode: "open" });
  shadow.append(el("div", { className: "root" }, card, launcher));
  if (shadow.adoptedStyleSheets) {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(CSS);
    shadow.adoptedStyleSheets = [sheet];
  } else {
    shadow.append(el("style", { textContent: CSS }));
  }
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const setTheme = () => host.setAttribute("theme", conf.theme || (dark.matches ? "dark" : "light"));
  dark.addEventListener?.("change", setTheme);
  setTheme();

  let isOpen = false;
  const phone = matchMedia("(max-width: 480px)");
  const fit = () => { // the on-screen keyboard covers part of a phone's page; the composer stays above it
    const view = window.visualViewport;
    const isPhone = isOpen && phone.matches;
    card.style.height = isPhone && view ? `${view.height}px` : "";
    card.style.top = isPhone && view ? `${view.offsetTop}px` : "";
    card.setAttribute("aria-modal", isPhone);
    document.documentElement.style.overflow = isPhone ? "hidden" : "";
  };
  window.visualViewport?.addEventListener("resize", fit);
  phone.addEventListener?.("change", fit);
  const open = (focus = true) => {
    isOpen = true;
    card.hidden = false;
    launcher.hidden = true;
    fit();
    scrollDown();
    stream();
    flush();
    markRead();
    if (focus) (matchMedia("(pointer: coarse)").matches ? card : input).focus({ preventScroll: true });
  };
  const close = () => {
    isOpen = false;
    card.hidden = true;
    launcher.hidden = false;
    fit();
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
    if (!text.trim()) return;
    input.value = "";
    grow();
    say(text);
  };
  let typedAt = 0;
  launcher.onclick = () => open();
  closeButton.onclick = close;
  form.onsubmit = (event) => { event.preventDefault(); submit(); input.focus(); };
  input.oninput = () => {
    grow();
    if (!stored() || notice.hidden === false || Date.now() - typedAt < 3000) return;
    typedAt = Date.now();
    post("typing", {}).catch(() => {}); // only a courtesy
  };
  input.onkeydown = (event) => {
    // Enter that ends a composition belongs to the input method; Safari reports it after the end, as key 229.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    submit();
  };
  card.onkeydown = (event) => {
    event.stopPropagation(); // the page's own shortcuts are not meant while writing here
    if (event.key === "Escape" && !event.isComposing) close();
    if (event.key !== "Tab" || !phone.matches) return;
    const stops = [...card.querySelectorAll("button,textarea,a,[tabindex='0']")].filter((node) => node.offsetParent && !node.disabled);
    const edge = event.shiftKey ? stops[0] : stops[stops.length - 1];
    if (shadow.activeElement !== edge) return;
    event.preventDefault();
    (event.shiftKey ? stops[stops.length - 1] : stops[0]).focus();
  };
  document.addEventListener("click", (event) => {
    const target = event.target.closest?.("[data-frontdesk-open],[data-frontdesk-ask]");
    if (!target) return;
    event.preventDefault();
    open();
    if (target.dataset.frontdeskAsk) say(target.dataset.frontdeskAsk);
  });

  window.Frontdesk = { open, close, ask: (text) => { open(); say(String(text)); } };
  const start = () => {
    document.body.append(host);
    queue().forEach(showPending);
    dropSuggestions();
    flush();
    stream();
    if ("open" in conf && !phone.matches) open(false);
  };
  if (document.body) start(); else addEventListener("DOMContentLoaded", start);
})();
