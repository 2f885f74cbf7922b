// What the web chat can do beyond words and buttons: files, cards, stars, dates, places, the form before a chat, welcome
// sentences, transcripts, going on elsewhere. widget.js loads it when one of them is first needed and hands over `chat`;
// `use(name, …)` there calls what is returned at the end here. Everything shown is built node by node, never from markup.
export default (chat) => {
  const {
    conf, config, setting, T, lang, base, account, who, formKey, load, save, el, icon, post, session, forget, newId, say,
    press, keep, queue, flush, notify, status, bubbles, scrollDown, addStyle, open, isOpen, phone, host, shadow, card, form,
    input, list, scroller, launcher,
  } = chat;
  const W = {
    zh: {
      typing: "正在输入", picture: "图片", file: "文件", remove: "关闭", previous: "上一个", next: "下一个", cards: "可选内容",
      rate: "评分", stars: (n) => `${n} 星`, submit: "提交", date: "选择日期", share: "发送我的位置",
      consent: "只发送一次您当前的位置，用于回答这个问题。", noPlace: "无法取得位置。您也可以直接写下地址。", phone: "手机号",
      big: (most) => `文件太大，最多 ${most}。`, kind: "不支持这种文件。可以发送图片、音频、视频、PDF、文本和 Office 文件。",
      damaged: "文件已损坏，无法读取。", infected: "文件未通过安全检查。", gone: "找不到这个文件，请重新选择。", refused: "文件未能发送。",
      uploading: (part) => `正在上传 ${part}%`, drop: "松开即可发送文件",
      before: "开始之前", name: "姓名", email: "邮箱", agree: "我同意为处理此次咨询与我联系。", privacy: "隐私说明", optional: "选填",
      begin: "开始对话", skip: "跳过", formFailed: "未能提交，请检查填写内容后重试。",
      keepPage: "保存对话", print: "打印对话", mail: "发送到邮箱", mailed: "对话记录已发送。", failed: "暂时无法完成，请稍后再试。",
      on: (name) => `在${name}继续`, telegram: "Telegram", wechat: "微信",
      onNote: (name) => `打开${name}后，请在那里确认。确认后两边是同一段对话，都能看到您的订单和处理进度。链接 15 分钟内有效，只能用一次，请不要转发。`,
      openApp: (name) => `打开${name}`, scan: "用微信扫描的二维码", welcome: "来自客服的消息",
    },
    en: {
      typing: "is typing", picture: "Picture", file: "File", remove: "Close", previous: "Previous", next: "Next", cards: "Choices",
      rate: "Rating", stars: (n) => (n === 1 ? "1 star" : `${n} stars`), submit: "Send", date: "Choose a date",
      share: "Send my location", consent: "Your present location is sent once, for this question.",
      noPlace: "Your location could not be found. You can write the address instead.", phone: "Phone number",
      big: (most) => `The file is too large; ${most} at most.`,
      kind: "Files of this kind are not taken. Pictures, audio, video, PDF, text and Office files are.",
      damaged: "The file is damaged and cannot be read.", infected: "The file did not pass the safety check.",
      gone: "The file is no longer there. Please choose it again.", refused: "The file could not be sent.",
      uploading: (part) => `Uploading ${part}%`, drop: "Drop the file to send it",
      before: "Before we begin", name: "Name", email: "E-mail", agree: "You may contact me about this request.",
      privacy: "Privacy", optional: "optional", begin: "Start", skip: "Skip",
      formFailed: "That could not be sent. Please check what you filled in and try again.",
      keepPage: "Save the conversation", print: "Print the conversation", mail: "Send it by e-mail",
      mailed: "The conversation is on its way.", failed: "That did not work. Please try again later.",
      on: (name) => `Continue on ${name}`, telegram: "Telegram", wechat: "WeChat",
      onNote: (name) => `${name} will ask you to confirm. Both sides are then one conversation and see your orders and cases. The link works once, for 15 minutes; please do not pass it on.`,
      openApp: (name) => `Open ${name}`, scan: "Code to scan with WeChat", welcome: "A message from our team",
    },
  }[lang];
  const locale = lang === "zh" ? "zh-CN" : "en-GB";
  const isSafe = (url) => /^https?:\/\//i.test(url || "");
  const button = (what, text, onclick, props) => el(what, { type: "button", textContent: text, onclick, ...props });

  // --- words ---
  const link = (url, ...inside) => el("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, ...inside);
  const BARE = /https?:\/\/[^\s<>"'，。；、）】》！？]+/g;
  const linked = (text) => {
    const nodes = [];
    let at = 0;
    for (const match of text.matchAll(BARE)) {
      const url = match[0].replace(/[.,;:!?)\]]+$/, "");
      nodes.push(text.slice(at, match.index), link(url, url));
      at = match.index + url.length;
    }
    return [...nodes, text.slice(at)];
  };

  // The subset of channels/markup.py and nothing else; tests hold the two against each other.
  const ITEM = /^ {0,3}[-*] +(?=\S)/;
  const ADDRESS = /^(?:https?:\/\/\S|tel:\S|mailto:\S)/i;
  const INLINE = new RegExp([
    /\\(?<escaped>[\\`*_[\]()-])/,
    /`(?<code>(?:\\.|[^`\\])+)`/,
    /\[(?<label>(?:\\.|[^[\]\\])+)\]\((?<url>(?:\\.|[^()\s\\])+)\)/,
    /\*\*(?=[^\s*])(?<bold>(?:\\.|[^*\\]|\*(?!\*))+)(?<!\s)\*\*/,
    /(?<![0-9A-Za-z*])\*(?=[^\s*])(?<italic>(?:\\.|[^*\\])+)(?<!\s)\*(?![0-9A-Za-z*])/,
    /(?<![0-9A-Za-z_])_(?=[^\s_])(?<slanted>(?:\\.|[^_\\])+)(?<!\s)_(?![0-9A-Za-z_])/,
  ].map((part) => part.source).join("|"), "gs");
  const plain = (text) => text.replace(/\\([\\`*_[\]()-])/g, "$1");
  const spans = (text, isLinked = true) => {
    const nodes = [];
    let at = 0, words = "";
    const words_done = () => { if (words) nodes.push(...(isLinked ? linked(words) : [words])); words = ""; };
    for (const match of text.matchAll(INLINE)) {
      words += text.slice(at, match.index);
      at = match.index + match[0].length;
      const { escaped, code, label, url, bold, italic, slanted } = match.groups;
      const address = url && plain(url);
      if (escaped) words += escaped;
      else if (url && !ADDRESS.test(address)) words += match[0];
      else {
        words_done();
        if (code) nodes.push(el("code", { textContent: plain(code) }));
        else if (url) nodes.push(link(address, ...spans(label, false)));
        else nodes.push(el(bold ? "b" : "i", {}, ...spans(bold || italic || slanted, isLinked)));
      }
    }
    words += text.slice(at);
    words_done();
    return nodes;
  };
  const markdown = (text) => {
    const nodes = [];
    let items = null;
    for (const [place, line] of text.split("\n").entries()) {
      const mark = line.match(ITEM);
      if (mark) {
        if (!items) nodes.push(items = el("ul"));
        items.append(el("li", {}, ...spans(line.slice(mark[0].length))));
      } else {
        nodes.push(...(place && !items ? ["\n"] : []), ...spans(line));
        items = null;
      }
    }
    return nodes;
  };

  // --- what comes with a message ---
  const dress = (node, event) => {
    const { body } = node;
    if (event.direction === "out") {
      body.replaceChildren(...(event.text_format === "markdown" ? markdown : linked)(event.text));
    }
    for (const old of node.querySelectorAll(":scope > .more")) old.remove();
    const parts = [
      ...(event.direction === "out" && isSafe(event.image_url) ? [picture(event.image_url, "")] : []),
      ...(event.media || []).map((file) => shownFile(node, file)),
      ...(event.cards?.length ? [carousel(event.cards)] : []),
    ];
    for (const part of parts) part.classList.add("more");
    body.hidden = !event.text && !event.location && parts.length > 0;
    body.after(...parts);
    const control = event.direction === "out" && ASKS[event.ask]?.(event);
    if (control) {
      control.classList.add("chips", "ask", "more");
      control.hidden = node !== list.lastElementChild; // answered, or its moment is over
      node.append(control);
    }
    if (node === list.lastElementChild) scrollDown();
  };
  const picture = (url, name) => {
    const image = el("img", { src: url, alt: name, loading: "lazy", onload: () => { if (!list.lastElementChild?.nextSibling) settleDown(); } });
    const shown = link(url, image);
    shown.className = "picture";
    if (!name) shown.ariaLabel = W.picture;
    image.onerror = () => image.replaceWith(name || W.picture); // gone, or the page's policy forbids it
    return shown;
  };
  const settleDown = () => {
    if (scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 600) scrollDown();
  };
  const size = (bytes) => {
    const [amount, unit] = bytes >= 1e6 ? [bytes / 1e6, "megabyte"] : [Math.max(1, bytes / 1e3), "kilobyte"];
    return amount.toLocaleString(locale, { style: "unit", unit, maximumFractionDigits: amount < 10 ? 1 : 0 });
  };
  const FILE = "M7 3h7l4 4v14H7zM14 3v4h4";
  const shownFile = (node, file) => {
    if (!file.url) return pendingFile(node, file);
    const url = new URL(file.url, base).href;
    const box = el("div");
    if (!isSafe(url)) return box;
    const name = file.caption || file.file_name;
    if (file.kind === "image") box.append(picture(url, name || ""));
    else if (file.kind === "video") box.append(el("video", { src: url, controls: true, preload: "metadata", ariaLabel: name || W.file }));
    else if (file.kind === "audio" || file.kind === "voice") {
      box.append(el("audio", { src: url, controls: true, preload: "none", ariaLabel: name || W.file }));
    } else box.append(fileLink(url, file));
    if (file.caption) box.append(el("div.caption", { textContent: file.caption, dir: "auto" }));
    return box;
  };
  const fileLink = (url, file) => {
    const shown = link(url, icon(FILE), el("span.file-name", { textContent: file.file_name || W.file, dir: "auto" }));
    shown.className = "file";
    if (file.size) shown.append(el("span.size", { textContent: size(file.size) }));
    return shown;
  };
  const pendingFile = (node, file) => {
    const box = el("div");
    kept(node.item?.id || file.id).then((blob) => {
      if (blob && file.kind === "image") box.append(picture(URL.createObjectURL(blob), file.file_name));
      else box.append(el("span.file", {}, icon(FILE), el("span.file-name", { textContent: file.file_name, dir: "auto" })));
      settleDown();
    });
    return box;
  };
  const carousel = (cards) => {
    const row = el("ul.cards", { tabIndex: 0, ariaLabel: W.cards }, ...cards.map((one) => {
      const item = el("li.one");
      if (isSafe(one.image_url)) item.append(el("img", { src: one.image_url, alt: "", loading: "lazy", onerror: (event) => event.target.remove() }));
      const title = el("h3", { dir: "auto" }, isSafe(one.url) ? link(one.url, one.title) : one.title);
      item.append(title);
      if (one.text) item.append(el("p", { textContent: one.text, dir: "auto" }));
      for (const { label, value } of one.buttons || []) item.append(button("button.act", label, () => press(label, value), { dir: "auto" }));
      return item;
    }));
    row.setAttribute("role", "list"); // Safari drops it with the bullets
    const move = (by) => row.scrollBy({ left: by * 240 * (getComputedStyle(row).direction === "rtl" ? -1 : 1), behavior: "smooth" });
    const box = el("div.carousel", {}, row);
    if (cards.length > 1) {
      box.append(el("div.moves", {}, button("button.icon", "‹", () => move(-1), { ariaLabel: W.previous, title: W.previous }),
        button("button.icon", "›", () => move(1), { ariaLabel: W.next, title: W.next })));
    }
    return box;
  };

  // --- what is asked for ---
  const sendForm = (name, onsubmit, ...inside) => el("form.control", {
    ariaLabel: name, onsubmit: (event) => { event.preventDefault(); onsubmit(event.target); },
  }, ...inside);
  const submitButton = (props) => el("button.go", { textContent: W.submit, ...props });
  const ASKS = {
    rating: (event) => {
      const group = `rating-${event.seq}`;
      const go = submitButton({ disabled: true });
      const stars = [1, 2, 3, 4, 5].map((n) => {
        const radio = el("input", { type: "radio", name: group, value: n, ariaLabel: W.stars(n) });
        radio.onchange = () => {
          go.disabled = false;
          for (const [place, star] of stars.entries()) star.classList.toggle("on", place < n);
        };
        return el("label.star", { title: W.stars(n) }, radio, icon("M12 3l2.8 5.8 6.2.9-4.5 4.4 1.1 6.2L12 17.3l-5.6 3 1.1-6.2L3 9.7l6.2-.9z"));
      });
      const row = el("div.stars", { ariaLabel: W.rate }, ...stars);
      row.setAttribute("role", "radiogroup");
      return sendForm(W.rate, (control) => answer(new FormData(control).get(group)), row, go);
    },
    date: () => {
      const year = new Date().getFullYear();
      const field = el("input", {
        type: "date", required: true, ariaLabel: W.date, lang: locale, min: `${year - 20}-01-01`, max: `${year + 3}-12-31`,
      });
      const said = el("span.said", { role: "status" });
      field.onchange = () => {
        const day = field.value && new Date(`${field.value}T12:00`);
        said.textContent = day ? day.toLocaleDateString(locale, { weekday: "long", year: "numeric", month: "long", day: "numeric" }) : "";
      };
      return sendForm(W.date, () => answer(field.value), field, submitButton(), said);
    },
    location: () => {
      const found = ({ coords: { latitude, longitude } }) => {
        say(undefined, { location: { latitude, longitude } });
        input.focus();
      };
      const go = submitButton({ textContent: W.share });
      const ask = () => {
        go.disabled = true;
        const failed = () => { go.disabled = false; notify(W.noPlace); };
        if (navigator.geolocation) navigator.geolocation.getCurrentPosition(found, failed, { timeout: 15000, maximumAge: 60000 });
        else failed();
      };
      return sendForm(W.share, ask, el("span.said", { textContent: W.consent }), go);
    },
    contact: () => {
      const field = el("input", { type: "tel", required: true, maxLength: 40, autocomplete: "tel", ariaLabel: W.phone, placeholder: W.phone });
      return sendForm(W.phone, () => answer(field.value), field, submitButton());
    },
  };
  const answer = (text) => { if (text) { say(text); input.focus(); } };

  // --- files: kept in the browser until the server has them ---
  const memory = new Map();
  const database = () => new Promise((done, failed) => {
    const request = indexedDB.open(`frontdesk:${account}`, 1);
    request.onupgradeneeded = () => request.result.createObjectStore("files");
    request.onsuccess = () => done(request.result);
    request.onerror = () => failed(request.error);
  });
  const files = async (mode, act) => {
    const opened = await database();
    try {
      return await new Promise((done, failed) => {
        const request = act(opened.transaction("files", mode).objectStore("files"));
        request.onsuccess = () => done(request.result);
        request.onerror = () => failed(request.error);
      });
    } finally {
      opened.close();
    }
  };
  const kept = async (id) => memory.get(id) || await files("readonly", (all) => all.get(id)).catch(() => null);
  const keepFile = async (id, blob) => {
    memory.set(id, blob);
    await files("readwrite", (all) => all.put(blob, id)).catch(() => {}); // refused: the file ends with the page
  };
  const prune = async () => {
    const waiting = new Set(queue().map(({ id }) => id));
    for (const id of await files("readonly", (all) => all.getAllKeys())) {
      if (!waiting.has(id)) await files("readwrite", (all) => all.delete(id));
    }
  };
  prune().catch(() => {});

  const kindOf = (mime) => (/^(image|audio|video)\//.exec(mime) || [])[1] || "document";
  const sendFiles = async (chosen) => {
    const most = config().max_upload_bytes;
    for (const file of chosen) {
      if (!most || file.size > most) {
        notify(most ? W.big(size(most)) : W.refused);
        continue;
      }
      const id = newId();
      await keepFile(id, file);
      say(undefined, { id, file: { id, kind: kindOf(file.type), file_name: file.name, size: file.size } });
    }
  };
  // In the page and kept: one that nothing holds may be gone before the visitor has chosen.
  const picker = el("input", { type: "file", multiple: true, hidden: true, tabIndex: -1 });
  picker.onchange = () => {
    sendFiles([...picker.files]);
    picker.value = ""; // the same file may be chosen again
    input.focus();
  };
  card.append(picker);
  const choose = () => picker.click();
  const send = (token, item, blob, onpart) => new Promise((done, failed) => {
    const request = new XMLHttpRequest(); // fetch cannot tell how far an upload is
    request.open("POST", `${base}uploads`);
    request.setRequestHeader("Authorization", `Bearer ${token}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.setRequestHeader("X-Upload-Id", item.upload || item.id);
    request.setRequestHeader("X-File-Name", encodeURIComponent(item.file.file_name.toWellFormed?.() ?? item.file.file_name));
    request.upload.onprogress = (event) => onpart(Math.floor(event.loaded / event.total * 100));
    request.timeout = 300000;
    request.onload = () => {
      let body = {};
      try { body = JSON.parse(request.responseText); } catch { /* a proxy's own page */ }
      done({ status: request.status, body });
    };
    request.onerror = request.ontimeout = () => failed(new TypeError("no connection"));
    request.send(blob);
  });
  // "" once the file of a waiting message is there, a reason when it never will be; throws to be tried again.
  const upload = async (item) => {
    const blob = await kept(item.id);
    if (!blob) return W.gone;
    const node = bubbles().find((one) => one.item?.id === item.id);
    const s = await session();
    const { status: code, body } = await send(s.token, item, blob, (part) => {
      if (node) status(node, W.uploading(part), "pending");
    });
    if (code === 201) {
      item.attachment = { media_id: body.media_id };
      keep(item);
      return "";
    }
    if (code === 401) forget(s);
    if (code === 401 || code === 403 || code === 408 || code === 429 || code >= 500) throw { status: code === 403 ? 0 : code };
    const why = String(body.error?.code || "").replace(/^file_/, "");
    return why === "too_large" ? W.big(size(config().max_upload_bytes || 0)) : W[why] || W.refused;
  };
  // The session ended between a file and its message: once more, as the new visitor's.
  const again = (item) => {
    if (!item.attachment || item.upload) return false;
    delete item.attachment;
    item.upload = newId();
    keep(item);
    return true;
  };
  const hasFiles = (event) => config().max_upload_bytes && [...(event.dataTransfer?.types || [])].includes("Files");
  card.addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    card.classList.add("drop");
  });
  for (const name of ["dragleave", "drop"]) card.addEventListener(name, () => card.classList.remove("drop"));
  card.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    sendFiles([...event.dataTransfer.files]);
  });
  input.addEventListener("paste", (event) => {
    const pasted = [...(event.clipboardData?.files || [])];
    if (!pasted.length || !config().max_upload_bytes) return;
    event.preventDefault();
    sendFiles(pasted);
  });

  // --- before the chat ---
  let panel = null, cameBack = null;
  const begin = (isWanted) => {
    fit();
    const fields = config().form;
    if (!fields?.length || load(formKey)) return;
    const hadFocus = isWanted || shadow.activeElement === input; // a card that opens by itself takes no focus
    form.hidden = true;
    if (!panel) scroller.append(panel = profileForm(fields));
    if (hadFocus && !phone.matches) panel.querySelector("input").focus();
  };
  const FIELDS = {
    name: { type: "text", autocomplete: "name", maxLength: 100 },
    phone: { type: "tel", autocomplete: "tel", maxLength: 40 },
    email: { type: "email", autocomplete: "email", maxLength: 254 },
  };
  const profileForm = (fields) => {
    const rows = fields.map(({ field, required }) => {
      if (field === "consent") {
        const label = el("label.check", {}, el("input", { type: "checkbox", name: field, required }), el("span", { textContent: W.agree }));
        if (isSafe(config().privacy_url)) label.lastChild.append(" ", link(config().privacy_url, W.privacy));
        return label;
      }
      const words = W[field] + (required ? "" : ` (${W.optional})`);
      return el("label", {}, el("span", { textContent: words }), el("input", { name: field, required, ...FIELDS[field] }));
    });
    const id = newId();
    const done = () => {
      save(formKey, true);
      panel.remove();
      panel = null;
      form.hidden = false;
      input.focus({ preventScroll: true });
      flush();
    };
    const fill = async (control) => {
      const go = control.querySelector(".go");
      go.disabled = true;
      const told = { id, ...Object.fromEntries(new FormData(control)) };
      if (fields.some(({ field }) => field === "consent")) told.consent = "consent" in told;
      const response = await post("profile", told).catch(() => null);
      go.disabled = false;
      if (response?.ok || response?.status === 404 || response?.status === 409) { notify(""); done(); } else notify(W.formFailed);
    };
    const control = sendForm(W.before, fill, el("h3", { textContent: W.before }), ...rows, submitButton({ textContent: W.begin }));
    control.className = "profile";
    if (!fields.some(({ required }) => required)) control.append(button("button.skip", W.skip, done));
    return control;
  };

  // --- a word to who stays on a page; local until the visitor answers ---
  const matches = (path) => new RegExp(`^${path.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&")).join(".*")}$`).test(location.pathname);
  const isTime = ({ days = "1-7", hours = "00:00-24:00" }) => {
    const parts = Object.fromEntries(new Intl.DateTimeFormat("en-GB", {
      timeZone: config().timezone, weekday: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
    }).formatToParts().map(({ type, value }) => [type, value]));
    const day = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"].indexOf(parts.weekday) + 1;
    const [first, last = first] = days.split("-").map(Number);
    const [from, to] = hours.split("-");
    const now = `${parts.hour}:${parts.minute}`;
    return day >= first && day <= last && now >= from && now < to;
  };
  let planned = false;
  const welcome = () => {
    const rules = conf.welcome ? [{ text: conf.welcome, path: conf.welcomePath || "*", after_s: +(conf.welcomeAfter || 15) }] : config().welcome;
    const said = load("welcomed") || [];
    const rule = (rules || []).find((one) => matches(one.path) && isTime(one) && !said.includes(one.text));
    if (!rule || planned) return;
    planned = true;
    setTimeout(() => {
      if (isOpen() || !launcher.isConnected || (load("welcomed") || []).includes(rule.text)) return; // another tab may have said it
      save("welcomed", [...said, rule.text].slice(-50));
      tease(lang === "en" && rule.text_en ? rule.text_en : rule.text);
    }, rule.after_s * 1000);
  };
  const tease = (text) => {
    const words = button("button.words", text, () => { save("welcome", text); gone(); open(); }, { dir: "auto" });
    const bubble = el("div.teaser", { role: "status", ariaLabel: W.welcome }, words,
      button("button.icon", "×", () => gone(), { ariaLabel: W.remove, title: W.remove }));
    const gone = () => {
      bubble.remove();
      const greeting = scroller.querySelector(".msg .body");
      if (greeting) greeting.textContent = text;
    };
    launcher.before(bubble);
    launcher.addEventListener("click", gone, { once: true });
  };

  // --- the menu: taking the conversation along ---
  const page = async () => {
    const { token } = await session();
    const response = await fetch(`${base}transcript`, { headers: { Authorization: `Bearer ${token}` } });
    if (!response.ok) throw response;
    return URL.createObjectURL(new Blob([await response.arrayBuffer()], { type: "text/html;charset=utf-8" }));
  };
  const keepPage = async () => {
    const saved = el("a", { href: await page(), download: `conversation-${new Date().toISOString().slice(0, 10)}.html` });
    saved.click();
  };
  const print = async () => {
    const opened = window.open(await page());
    if (!opened) throw new Error("blocked");
    opened.addEventListener("load", () => {
      // The page inherits what this one forbids, which may be its <style>; a constructed sheet is always allowed.
      const sheet = new opened.CSSStyleSheet();
      sheet.replaceSync(opened.document.querySelector("style").textContent);
      opened.document.adoptedStyleSheets = [sheet];
      opened.print();
    });
  };
  const mail = () => {
    const field = el("input", { type: "email", required: true, autocomplete: "email", ariaLabel: W.email, placeholder: W.email });
    showPanel(sendForm(W.mail, async () => {
      const response = await post("transcript", { email: field.value });
      if (!response.ok) throw response;
      closePanel();
      notify(W.mailed);
    }, el("h3", { textContent: W.mail }), field, submitButton()));
    field.focus();
  };
  const goOn = async (place) => {
    const response = await post("continue", { on: place });
    if (!response.ok) throw response;
    const { url } = await response.json();
    if (!isSafe(url)) throw new TypeError("not an address");
    const name = W[place.split("/")[0]];
    const go = link(url, W.openApp(name));
    go.className = "go";
    // WeChat gives a picture to scan; where the page forbids pictures of others, the link leads to it.
    const code = place.startsWith("wechat") ? [el("img.code", { src: url, alt: W.scan, onerror: (event) => event.target.remove() })] : [];
    showPanel(el("div", {}, el("h3", { textContent: W.on(name) }), ...code, el("p", { textContent: W.onNote(name) }), go));
    go.focus();
  };
  const showPanel = (content) => {
    closePanel();
    content.classList.add("panel");
    content.append(button("button.skip", W.remove, closePanel));
    cameBack = content;
    scroller.after(content);
  };
  const closePanel = () => { cameBack?.remove(); cameBack = null; };
  const doing = (act) => async () => {
    closeMenu();
    notify("");
    try { await act(); } catch { notify(W.failed); }
  };
  let opened = null, opener = null;
  const closeMenu = () => {
    opened?.remove();
    opened = null;
    if (opener) opener.ariaExpanded = "false";
  };
  const menu = (from) => {
    if (opened) { closeMenu(); return; }
    opener = from;
    const entries = [
      [W.keepPage, keepPage], [W.print, print], ...(config().emails ? [[W.mail, mail]] : []),
      ...(config().continue_on || []).map((place) => [W.on(W[place.split("/")[0]]), () => goOn(place)]),
    ];
    const items = entries.map(([text, act]) => button("button.entry", text, doing(act), { role: "menuitem", tabIndex: -1 }));
    opened = el("div.menu", { role: "menu", ariaLabel: T.menu }, ...items);
    opened.onkeydown = (event) => {
      const at = items.indexOf(shadow.activeElement);
      const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
      if (next !== undefined) { event.preventDefault(); items.at(next % items.length).focus(); }
      if (event.key === "Escape" || event.key === "Tab") { event.stopPropagation(); closeMenu(); from.focus(); }
    };
    from.ariaExpanded = "true";
    from.after(opened);
    items[0].focus();
  };
  card.addEventListener("click", (event) => { if (opened && !opened.contains(event.target) && !opener.contains(event.target)) closeMenu(); });

  // --- looks ---
  const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  const light = (colour) => {
    const [r, g, b] = colour.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05); // WCAG 2.2
  const mix = (a, b, part) => a.map((c, at) => Math.round(c * part + b[at] * (1 - part)));
  const css = (colour) => `rgb(${colour.join(" ")})`;
  const accent = () => {
    const chosen = setting("accent");
    const names = ["--accent", "--on", "--tint"];
    if (!/^#[0-9a-f]{6}$/i.test(chosen)) return names.forEach((name) => host.style.removeProperty(name));
    const isDark = host.getAttribute("theme") === "dark";
    const ground = rgb(isDark ? "#14161a" : "#ffffff"), end = isDark ? [255, 255, 255] : [0, 0, 0];
    let colour = rgb(chosen);
    // As chosen where it can be read, else as near to it as can be.
    const tinted = (one) => mix(one, ground, 0.12);
    for (let part = 1; part > 0 && contrast(colour, tinted(colour)) < 4.5; part -= 0.05) colour = mix(rgb(chosen), end, part);
    const values = [colour, isDark ? rgb("#0b1220") : [255, 255, 255], tinted(colour)];
    names.forEach((name, at) => host.style.setProperty(name, css(values[at])));
  };
  const view = window.visualViewport;
  const fit = () => { // keeps the composer above a phone's keyboard
    const isFull = isOpen() && phone.matches;
    card.style.cssText = isFull && view ? `height:${view.height}px;top:${view.offsetTop}px` : "";
    document.documentElement.style.overflow = isFull ? "hidden" : "";
  };
  view?.addEventListener("resize", fit);
  let typingTimer = 0;
  const dots = el("div.body typing", { role: "status", hidden: true }, el("i"), el("i"), el("i"));
  list.parentNode.after(dots);
  const typing = (event) => {
    clearTimeout(typingTimer);
    dots.hidden = !event;
    if (!event) return;
    dots.ariaLabel = `${event.name || T.bot} ${W.typing}`;
    typingTimer = setTimeout(typing, 8000, null);
    scrollDown();
  };
  const sound = (seq) => {
    if (setting("sound") === "off" || !navigator.locks) return;
    // Every hidden tab hears of the message; the first one to hold the lock makes the only sound.
    navigator.locks.request(`frontdesk:${account}:sound`, () => {
      if ((load("sounded") || 0) >= seq) return;
      save("sounded", seq);
      try {
        const audio = new AudioContext(), tone = audio.createOscillator(), volume = audio.createGain();
        tone.connect(volume).connect(audio.destination);
        tone.frequency.value = 660;
        volume.gain.setValueAtTime(0.06, audio.currentTime);
        volume.gain.exponentialRampToValueAtTime(0.0001, audio.currentTime + 0.35);
        tone.onended = () => audio.close();
        tone.start();
        tone.stop(audio.currentTime + 0.36);
      } catch { /* a page nobody has touched yet makes no sound */ }
    });
  };

  addStyle(`
    .body ul{margin:4px 0;padding-inline-start:20px;white-space:normal}
    .body i{font-style:italic}
    .body code{font:13px/1.5 ui-monospace,Menlo,Consolas,monospace;background:var(--line);border-radius:4px;padding:0 4px}
    .more{max-width:100%;margin-top:4px}
    .body:not([hidden])+.more{margin-top:8px}
    .picture{display:block;border-radius:12px;overflow:hidden;border:1px solid var(--line);width:fit-content;max-width:100%;color:var(--accent)}
    .picture img{display:block;max-width:100%;max-height:240px;min-height:24px;object-fit:cover}
    video,audio{display:block;max-width:100%;width:264px}
    video{border-radius:12px;background:#000}
    .file{display:flex;align-items:center;gap:8px;padding:8px 12px;border:1px solid var(--line);border-radius:12px;color:var(--text);background:var(--bg);text-decoration:none;max-width:100%}
    a.file:hover .file-name{text-decoration:underline}
    .file svg{flex:none;width:20px;height:20px;color:var(--accent)}
    .file-name{overflow-wrap:anywhere;min-width:0}
    .size,.caption,.said{font-size:12px;color:var(--muted)}
    .size{flex:none}
    .me .more{align-self:flex-end}
    .carousel{width:100%}
    .msg:has(.carousel){width:100%;max-width:100%}
    .cards{display:flex;gap:8px;margin:0;padding:0 0 4px;list-style:none;overflow-x:auto;scroll-snap-type:x mandatory;overscroll-behavior-x:contain;scrollbar-width:thin}
    .one{flex:none;width:min(232px,86%);scroll-snap-align:start;border:1px solid var(--line);border-radius:12px;overflow:hidden;padding-bottom:8px;display:flex;flex-direction:column;background:var(--bg)}
    .one:only-child{width:min(280px,100%)}
    .one img{width:100%;height:116px;object-fit:cover;border-bottom:1px solid var(--line)}
    h3{margin:0;font-size:14px;font-weight:600}
    .one h3,.one p{padding:8px 12px 0;margin:0;overflow-wrap:anywhere}
    .one p{color:var(--muted);font-size:12px;max-height:132px;overflow-y:auto;white-space:pre-wrap}
    .one a{color:var(--accent)}
    .act{margin:8px 12px 0;padding:6px 12px;min-height:36px;border:1px solid var(--line);border-radius:8px;color:var(--accent);overflow-wrap:anywhere}
    .act:hover{background:var(--tint)}
    .p+.act{margin-top:auto}
    .moves{display:flex;gap:4px;justify-content:flex-end}
    .moves .icon{font-size:20px;width:32px;height:32px}
    .control.control,.profile.profile,.panel.panel{margin:8px 0 0;padding:0;border:0;box-shadow:none;border-radius:0;background:none;display:flex;flex-wrap:wrap;gap:8px;align-items:center}
    .said{flex-basis:100%}
    .go{min-height:36px;padding:6px 16px;border-radius:8px;background:var(--accent);color:var(--on);text-decoration:none;display:inline-grid;place-items:center}
    .chips .go{border:0;border-radius:8px;background:var(--accent);color:var(--on)}
    .chips .go:hover,.go:hover{filter:brightness(1.08);background:var(--accent)}
    .go:disabled,.chips .go:disabled{background:var(--surface);color:var(--muted);cursor:default;filter:none}
    .stars{display:flex}
    .star{position:relative;width:40px;height:40px;display:grid;place-items:center;cursor:pointer;color:var(--muted);border-radius:8px}
    .star input{position:absolute;inset:0;opacity:0;margin:0;cursor:pointer}
    .star svg{width:28px;height:28px;stroke-width:1.4}
    .star.on{color:var(--accent)}
    .star.on svg{fill:currentColor}
    .star:has(:focus-visible){outline:2px solid var(--accent)}
    .ask input:not([type=radio]),.profile input:not([type=checkbox]),.panel input{flex:1;min-width:150px;min-height:36px;padding:6px 10px;border:1px solid var(--muted);border-radius:8px;background:var(--bg);color:inherit}
    input::placeholder{color:var(--muted);opacity:1}
    .profile.profile,.panel.panel{flex-direction:column;align-items:stretch;margin:16px 0 0;padding:16px;border:1px solid var(--line);border-radius:12px;gap:12px}
    .panel.panel{margin:0 12px 12px}
    .code{width:160px;height:160px;align-self:center;background:#fff;border-radius:8px}
    .panel p{margin:0;color:var(--muted)}
    .panel .go{border-radius:8px}
    .profile label{display:flex;flex-direction:column;gap:4px;font-size:12px;color:var(--muted)}
    .profile label input{font-size:14px;color:var(--text)}
    .profile .check{flex-direction:row;gap:8px;align-items:flex-start;color:var(--text)}
    .check input{width:18px;height:18px;margin:0;accent-color:var(--accent);flex:none}
    .check a{color:var(--accent)}
    .skip{color:var(--muted);min-height:32px}
    .skip:hover{color:var(--text)}
    header{position:relative}
    .menu{position:absolute;z-index:1;top:52px;inset-inline-end:12px;min-width:200px;padding:4px;background:var(--bg);border:1px solid var(--line);border-radius:8px;box-shadow:0 8px 24px #10182833;display:flex;flex-direction:column}
    .entry{padding:8px 12px;border-radius:6px;text-align:start}
    .entry:hover,.entry:focus-visible{background:var(--tint)}
    .drop::after{content:"${W.drop}";position:absolute;inset:8px;display:grid;place-items:center;border:2px dashed var(--accent);border-radius:8px;background:var(--bg);color:var(--accent)}
    .teaser{position:fixed;inset-inline-end:24px;bottom:92px;max-width:min(280px,calc(100vw - 48px));display:flex;align-items:flex-start;background:var(--bg);border:1px solid var(--line);border-radius:12px;border-end-end-radius:4px;box-shadow:0 8px 24px #10182833;animation:in .16s ease-out}
    :host([side=left]) .teaser{inset-inline:24px auto;border-radius:12px;border-end-start-radius:4px}
    .teaser .words{padding:10px 0 10px 14px;text-align:start;overflow-wrap:anywhere}
    .teaser .icon{font-size:18px}
    .typing{display:flex;gap:4px;margin-top:12px;padding:13px 12px}
    .typing i{width:6px;height:6px;border-radius:50%;background:var(--muted);animation:dot 1.2s infinite}
    .typing i:nth-child(2){animation-delay:.15s}.typing i:nth-child(3){animation-delay:.3s}
    @keyframes dot{0%,60%,100%{opacity:.35}30%{opacity:1}}
    @media (max-width:480px){.profile label input,.ask input,.panel input{font-size:16px}}
  `);
  accent();
  return { dress, typing, fit, begin, choose, upload, again, welcome, menu, accent, sound };
};
