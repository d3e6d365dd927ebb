"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const count = data.tokens.length, layers = data.heads.length;
  const byId = (id) => document.getElementById(id);
  const make = (name, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  };

  // Colours that can be told from each other on light and dark paper.
  const COLOURS = ["#3b78e7", "#e0662f", "#2f9e63", "#b453c9", "#c99a1b", "#d8487a"];
  const WASH = [59, 120, 231];
  const LEVELS = 255, LISTED = 12, LIKES = 10, STROKES = 16;
  // What a byte means: the square root of the weight was rounded.
  const WEIGHT = Float32Array.from({ length: LEVELS + 1 }, (_, level) => (level / LEVELS) ** 2);
  const leftOut = data.tokens.map((token, at) => (data.causal ? at === 0 : ["[CLS]", "[SEP]"].includes(token)));

  // Bytes [heads, query, key] of each layer, once they are unpacked; cosines likewise.
  const weights = [], cosines = [];
  const state = { heads: [[0, 0]], cursor: [0, 0], side: "from", token: null, kept: false, leaveOut: false,
    least: 0.1, layer: layers, like: null, likeKept: false };

  async function unpack(packed) {
    const letters = atob(packed), bytes = new Uint8Array(letters.length);
    for (let at = 0; at < letters.length; at++) bytes[at] = letters.charCodeAt(at);
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    return new Response(stream).arrayBuffer();
  }

  // Changes are drawn once a frame, however many events ask for it.
  const waiting = new Set();
  function draw(...views) {
    if (!waiting.size) requestAnimationFrame(() => {
      const todo = [...waiting];
      waiting.clear();
      todo.forEach((view) => view());
    });
    views.forEach((view) => waiting.add(view));
  }

  // ---------------------------------------------------------------- heads
  const buttons = new Map(), nameOf = ([layer, head]) => `${layer + 1}.${head + 1}`;
  const most = Math.max(...data.heads);

  function buildGrid() {
    const grid = byId("grid");
    grid.style.gridTemplateColumns = `repeat(${most + 1}, auto)`;
    if (most > 12 || layers > 12) grid.style.setProperty("--thumb", "22px");
    grid.append(make("span"));
    for (let head = 0; head < most; head++) grid.append(make("span", { textContent: head + 1, ariaHidden: "true" }));
    data.heads.forEach((heads, layer) => {
      grid.append(make("span", { textContent: layer + 1, ariaHidden: "true" }));
      for (let head = 0; head < most; head++) {
        if (head >= heads) { grid.append(make("span")); continue; }
        const button = make("button", { type: "button", title: `Layer ${layer + 1}, head ${head + 1}` }, make("i"));
        button.setAttribute("aria-label", button.title);
        button.dataset.at = `${layer},${head}`;
        buttons.set(button.dataset.at, button);
        grid.append(button);
      }
    });
    const at = (event) => event.target.closest("button")?.dataset.at?.split(",").map(Number);
    grid.addEventListener("click", (event) => {
      const head = at(event);
      if (head) choose(head, event.ctrlKey || event.metaKey || event.shiftKey);
    });
    grid.addEventListener("keydown", (event) => {
      const head = at(event);
      if (!head) return;
      const [down, right] = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key] ?? [];
      if (down !== undefined) {
        const layer = Math.min(Math.max(head[0] + down, 0), layers - 1);
        const next = [layer, Math.min(Math.max(head[1] + right, 0), data.heads[layer] - 1)];
        choose(next, false);
        buttons.get(String(next)).focus();
      } else if (event.key === " ") choose(head, true);
      else return;
      event.preventDefault();
    });
  }

  function choose(head, add) {
    const there = state.heads.findIndex((one) => String(one) === String(head));
    if (!add) state.heads = [head];
    else if (there < 0) state.heads = [...state.heads, head].slice(-COLOURS.length);
    else if (state.heads.length > 1) state.heads.splice(there, 1);
    state.cursor = head;
    draw(showHeads, showLines, showToken);
  }

  function showHeads() {
    for (const [at, button] of buttons) {
      const place = state.heads.findIndex((one) => String(one) === at);
      focusable(button, at === String(state.cursor));
      if (button.ariaPressed === "false" && place < 0) continue;
      button.ariaPressed = String(place >= 0);
      button.style.setProperty("--mark", COLOURS[place] ?? "");
    }
    const marks = state.heads.map((head, place) => {
      const mark = make("b", { textContent: nameOf(head), title: `Layer ${head[0] + 1}, head ${head[1] + 1}` });
      mark.style.setProperty("--mark", COLOURS[place]);
      return mark;
    });
    byId("shown").replaceChildren(state.heads.length > 1 ? "Heads " : "Head ", ...marks);
  }

  // As pictures: a browser would give each of many canvases a layer of its own in every frame.
  const sketch = make("canvas"), size = sketch.width = sketch.height = Math.min(count, 48);

  function drawThumbnail(layer, head) {
    const image = new ImageData(size, size), step = count / size, from = head * count * count;
    for (let query = 0; query < count; query++) {
      const row = 4 * size * Math.floor(query / step);
      for (let key = 0; key < count; key++) {
        const at = row + 4 * Math.floor(key / step), level = weights[layer][from + query * count + key];
        if (level > image.data[at + 3]) image.data[at + 3] = level;
      }
    }
    for (let at = 0; at < image.data.length; at += 4) image.data.set(WASH, at);
    sketch.getContext("2d").putImageData(image, 0, 0);
    buttons.get(`${layer},${head}`).firstChild.style.backgroundImage = `url(${sketch.toDataURL()})`;
  }

  // ---------------------------------------------------------------- tokens and lines
  const columns = { from: [], to: [] };
  let width = 0;  // of the lines
  const room = Math.max(14, Math.min(24, Math.floor(620 / count)));

  function options(list) {
    return data.tokens.map((token, at) => {
      const option = make("li", { textContent: token, title: `${token} (${at + 1})`, tabIndex: -1 });
      option.setAttribute("role", "option");
      option.setAttribute("aria-selected", "false");
      option.dataset.at = at;
      option.classList.toggle("second", data.segments[at] === 1);
      list.append(option);
      return option;
    });
  }

  function buildStage() {
    const stage = byId("stage");
    stage.style.setProperty("--row", `${room}px`);
    stage.style.setProperty("--count", count);
    for (const side of ["from", "to"]) {
      const list = byId(side);
      columns[side] = options(list);
      columns[side][0].tabIndex = 0;
      const at = (event) => { const option = event.target.closest("[role=option]"); return option && Number(option.dataset.at); };
      list.addEventListener("pointerover", (event) => { const token = at(event); if (token !== null && !state.kept) attend(side, token); });
      list.addEventListener("pointerleave", () => { if (!state.kept) attend(side, null); });
      list.addEventListener("click", (event) => {
        const token = at(event);
        if (token === null) return;
        const again = state.kept && state.token === token && state.side === side;
        state.kept = !again;
        attend(side, token);
      });
      list.addEventListener("focusin", (event) => { const token = at(event); if (token !== null && !(state.kept && event.target.matches(":hover"))) attend(side, token); });
      list.addEventListener("keydown", (event) => {
        const token = at(event);
        const next = { ArrowUp: token - 1, ArrowDown: token + 1, Home: 0, End: count - 1 }[event.key];
        if (next !== undefined) columns[side][Math.min(Math.max(next, 0), count - 1)].focus();
        else if (event.key === "ArrowLeft") columns.from[token].focus();
        else if (event.key === "ArrowRight") columns.to[token].focus();
        else if (event.key === "Enter" || event.key === " ") { state.kept = true; attend(side, token); }
        else return;
        event.preventDefault();
      });
    }
    byId("leave-out-name").textContent = data.causal ? "leave out the first token" : "leave out [CLS] and [SEP]";
    byId("leave-out").addEventListener("change", (event) => { state.leaveOut = event.target.checked; draw(showLines, showToken); });
    byId("least").addEventListener("input", showLeast);
    showLeast();
    byId("lines").append(...COLOURS.flatMap((colour) => Array.from({ length: STROKES }, (_, step) => {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path"), strength = (step + 1) / STROKES;
      path.setAttribute("stroke", colour);
      path.setAttribute("stroke-width", 0.6 + 2.4 * strength);
      path.setAttribute("stroke-opacity", 0.1 + 0.9 * Math.sqrt(strength));
      return path;
    })));
    // To ask for the width while drawing would have the page laid out once more.
    new ResizeObserver(([entry]) => { width = entry.contentRect.width; draw(showLines); }).observe(byId("lines"));
  }

  function showLeast() {
    byId("least-shown").textContent = `${byId("least").value} %`;
    state.least = byId("least").value / 100;
    draw(showLines);
  }

  function focusable(element, value) {
    if (element.tabIndex !== (value ? 0 : -1)) element.tabIndex = value ? 0 : -1;
  }

  /** Colours a token by a share from 0 to 1; changes nothing that would look the same. */
  function wash(option, share) {
    const colour = share < 0.01 ? "" : `rgba(${WASH}, ${share.toFixed(2)})`;
    if (option.wash === colour) return;
    option.wash = colour;
    option.style.backgroundColor = colour;
  }

  function attend(side, token) {
    if (state.token !== null) columns[state.side][state.token].classList.remove("active", "kept");
    Object.assign(state, { side, token });
    for (const name of ["from", "to"]) columns[name].forEach((option, at) => {
      const chosen = name === side && at === token;
      if ((option.ariaSelected === "true") !== chosen) option.ariaSelected = String(chosen);
      if (token !== null && name === side) focusable(option, chosen);
    });
    draw(showLines, showToken);
  }

  /** The weights of the chosen token towards every other one, of one head. */
  function sharesOf([layer, head], side, token) {
    const from = head * count * count, bytes = weights[layer];
    const shares = new Float32Array(count);
    if (!bytes) return shares;
    for (let other = 0; other < count; other++) {
      if (state.leaveOut && leftOut[other]) continue;
      shares[other] = WEIGHT[bytes[side === "from" ? from + token * count + other : from + other * count + token]];
    }
    return shares;
  }

  /** Equally strong lines of a head are one path. */
  function showLines() {
    if (!width) return;
    const svg = byId("lines");
    const middle = [Math.round(width * 0.45), Math.round(width * 0.55)], end = width - 2;
    const paths = Array(svg.children.length).fill("");
    const step = (weight) => Math.min(STROKES - 1, Math.floor(weight * STROKES));
    state.heads.forEach((head, place) => {
      const bytes = weights[head[0]];
      if (!bytes) return;
      const line = (weight, query, key) => {
        const start = (query + 0.5) * room, stop = (key + 0.5) * room;
        paths[place * STROKES + step(weight)] += `M2 ${start}C${middle[0]} ${start} ${middle[1]} ${stop} ${end} ${stop}`;
      };
      if (state.token !== null) {
        sharesOf(head, state.side, state.token).forEach((weight, other) => {
          if (weight >= 0.005) line(weight, ...(state.side === "from" ? [state.token, other] : [other, state.token]));
        });
        return;
      }
      const least = Math.ceil(Math.sqrt(state.least) * LEVELS);
      for (let query = 0, at = head[1] * count * count; query < count; query++) {
        for (let key = 0; key < count; key++, at++) {
          if (bytes[at] >= least && !(state.leaveOut && leftOut[key])) line(WEIGHT[bytes[at]], query, key);
        }
      }
    });
    paths.forEach((path, at) => {
      if (svg.children[at].getAttribute("d") !== path) svg.children[at].setAttribute("d", path);
    });
  }

  // ---------------------------------------------------------------- the chosen token
  const percent = (share) => (share >= 0.0995 ? `${Math.round(share * 100)} %` : `${(share * 100).toFixed(1)} %`);
  // Texts are changed rather than replaced, which would have the row built anew.
  const bars = (list, length) => Array.from({ length }, () => {
    const row = { name: new Text(), place: new Text(), bar: make("i"), value: new Text() };
    const [name, place, value] = [make("span", {}, row.name), make("em", {}, row.place), make("small", {}, row.value)];
    row.item = make("li", { hidden: true }, name, place, row.bar, value);
    list.append(row.item);
    return row;
  });
  const setBar = (row, name, place, share, value) => {
    row.item.hidden = false;
    row.name.data = row.name.parentNode.title = name;
    row.place.data = place;
    row.bar.style.setProperty("--share", Math.max(0, share));
    row.value.data = value;
  };
  const byShare = (shares) => [...shares.keys()].sort((a, b) => shares[b] - shares[a]);
  const shareRows = bars(byId("shares"), LISTED);

  function showToken() {
    const { side, token } = state, other = side === "from" ? "to" : "from";
    const shares = new Float32Array(count);
    if (token !== null) for (const head of state.heads) sharesOf(head, side, token).forEach((share, at) => { shares[at] += share / state.heads.length; });
    const strongest = Math.max(...shares) || 1;
    columns[other].forEach((option, at) => wash(option, token === null ? 0 : 0.6 * shares[at] / strongest));
    columns[side].forEach((option) => wash(option, 0));
    if (token === null) {
      shareRows.forEach((row) => { row.item.hidden = true; });
      byId("token-title").textContent = "Choose a token";
      byId("token-text").textContent = "Point at a token on the left to see what it attends to, on the right to see what attends to it.";
      byId("rest").textContent = "";
      return;
    }
    columns[side][token].classList.add("active");
    columns[side][token].classList.toggle("kept", state.kept);
    byId("token-title").textContent = `“${data.tokens[token]}”`;
    const mean = state.heads.length > 1 ? `, mean of ${state.heads.length} heads` : "";
    byId("token-text").textContent = `token ${token + 1} of ${count} ${side === "from" ? "attends to" : "is attended to by"}${mean}`;
    const order = byShare(shares), listed = order.slice(0, LISTED).filter((at) => shares[at] > 0);
    shareRows.forEach((row, place) => {
      row.item.hidden = place >= listed.length;
      if (place >= listed.length) return;
      const at = listed[place];
      setBar(row, data.tokens[at], at + 1, shares[at], percent(shares[at]));
    });
    const rest = order.slice(listed.length).filter((at) => shares[at] > 0);
    const sum = rest.reduce((total, at) => total + shares[at], 0);
    byId("rest").textContent = !rest.length ? "" : side === "from" ? `and ${rest.length} more with ${percent(sum)} together` : `and ${rest.length} more`;
  }

  // ---------------------------------------------------------------- neighbours
  let flow = [];
  const likeRows = bars(byId("likes"), LIKES), courseRows = bars(byId("course"), layers + 1);
  const cosine = (layer, a, b) => {
    if (a === b) return 1;
    const [low, high] = a < b ? [a, b] : [b, a];
    return cosines[layer].values[high * (high - 1) / 2 + low] / 32767;
  };

  function buildNeighbours() {
    flow = options(byId("flow"));
    flow[0].tabIndex = 0;
    const list = byId("flow"), at = (event) => { const option = event.target.closest("[role=option]"); return option && Number(option.dataset.at); };
    list.addEventListener("pointerover", (event) => { const token = at(event); if (token !== null && !state.likeKept) like(token); });
    list.addEventListener("click", (event) => { const token = at(event); if (token !== null) { state.likeKept = !(state.likeKept && token === state.like); like(token); } });
    list.addEventListener("focusin", (event) => { const token = at(event); if (token !== null && !event.target.matches(":hover")) like(token); });
    list.addEventListener("keydown", (event) => {
      const token = at(event);
      const next = { ArrowLeft: token - 1, ArrowRight: token + 1, Home: 0, End: count - 1 }[event.key];
      if (next !== undefined) flow[Math.min(Math.max(next, 0), count - 1)].focus();
      else if (event.key === "ArrowUp" || event.key === "ArrowDown") setLayer(state.layer + (event.key === "ArrowUp" ? 1 : -1));
      else if (event.key === "Enter" || event.key === " ") { state.likeKept = true; like(token); }
      else return;
      event.preventDefault();
    });
    const slider = byId("layer");
    slider.max = layers;
    slider.addEventListener("input", () => setLayer(Number(slider.value)));
    const matrix = byId("matrix");
    matrix.width = matrix.height = count;
    const pair = (event) => [event.offsetY, event.offsetX].map((place) => Math.min(count - 1, Math.max(0, Math.floor(place / matrix.clientWidth * count))));
    matrix.addEventListener("pointermove", (event) => {
      const [a, b] = pair(event);
      byId("pair").textContent = `“${data.tokens[a]}” and “${data.tokens[b]}”: ${cosine(state.layer, a, b).toFixed(3)}`;
    });
    matrix.addEventListener("click", (event) => { state.likeKept = true; like(pair(event)[0]); });
  }

  async function openNeighbours() {
    for (let layer = 0; layer <= layers; layer++) {
      if (cosines[layer]) continue;
      const values = new Int16Array(await unpack(data.cosines[layer]));
      let least = 32767, largest = -32767;
      for (const value of values) { least = Math.min(least, value); largest = Math.max(largest, value); }
      cosines[layer] = { values, least: least / 32767, range: Math.max(largest - least, 1) / 32767 };
    }
    if (state.like === null) like(Math.min(1, count - 1));
    setLayer(state.layer);
  }

  function setLayer(layer) {
    state.layer = Math.min(Math.max(layer, 0), layers);
    byId("layer").value = state.layer;
    draw(showMatrix, showLikes);
  }

  function like(token) {
    state.like = token;
    flow.forEach((option, at) => {
      option.classList.toggle("active", at === token);
      option.classList.toggle("kept", at === token && state.likeKept);
      option.ariaSelected = String(at === token);
      focusable(option, at === token);
    });
    draw(showLikes);
  }

  const layerName = (layer) => (layer === 0 ? "embeddings" : `layer ${layer}`);

  function showMatrix() {
    const { least, range } = cosines[state.layer], image = new ImageData(count, count);
    for (let a = 0, at = 0; a < count; a++) {
      for (let b = 0; b < count; b++, at += 4) {
        image.data.set(WASH, at);
        image.data[at + 3] = 255 * Math.min(1, (cosine(state.layer, a, b) - least) / range);
      }
    }
    const matrix = byId("matrix");
    matrix.getContext("2d").putImageData(image, 0, 0);
    matrix.ariaLabel = `Cosines of all pairs of tokens at the ${layerName(state.layer)}`;
    byId("pair").textContent = "Rows and columns are the tokens in their order.";
    byId("layer-title").textContent = state.layer === 0 ? "Embeddings" : `After layer ${state.layer} of ${layers}`;
    byId("coolest").textContent = least.toFixed(2);
    byId("warmest").textContent = (least + range).toFixed(2);
  }

  function showLikes() {
    if (state.like === null || !cosines[state.layer]) return;
    const { least, range } = cosines[state.layer];
    const values = Float32Array.from({ length: count }, (_, other) => cosine(state.layer, state.like, other));
    flow.forEach((option, at) => wash(option, 0.75 * Math.min(1, Math.max(0, (values[at] - least) / range)) ** 1.5));
    const order = byShare(values).filter((at) => at !== state.like).slice(0, LIKES);
    byId("like-title").textContent = `Most like “${data.tokens[state.like]}”`;
    likeRows.forEach((row, place) => {
      row.item.hidden = place >= order.length;
      if (place < order.length) setBar(row, data.tokens[order[place]], order[place] + 1, values[order[place]], values[order[place]].toFixed(3));
    });
    byId("course-title").textContent = order.length ? `With “${data.tokens[order[0]]}” (token ${order[0] + 1}), layer by layer` : "";
    courseRows.forEach((row, layer) => {
      if (!order.length) return;
      const value = cosine(layer, state.like, order[0]);
      setBar(row, layerName(layer), "", value, value.toFixed(3));
      row.item.classList.toggle("now", layer === state.layer);
    });
  }

  // ---------------------------------------------------------------- tabs, theme, start
  function buildTabs() {
    const tabs = [...document.querySelectorAll("[role=tab]")];
    const open = (chosen) => tabs.forEach((tab) => {
      tab.ariaSelected = String(tab === chosen);
      tab.tabIndex = tab === chosen ? 0 : -1;
      byId(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
      if (tab === chosen && tab.id === "tab-neighbours") openNeighbours();
    });
    tabs.forEach((tab, at) => {
      tab.addEventListener("click", () => open(tab));
      tab.addEventListener("keydown", (event) => {
        if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
        const next = tabs[(at + 1) % tabs.length];
        open(next);
        next.focus();
      });
    });
  }

  function buildTheme() {
    const names = { "": "Theme: system", light: "Theme: light", dark: "Theme: dark" }, order = Object.keys(names);
    let theme = "";
    try { theme = localStorage.getItem("ptbert-theme") ?? ""; } catch { /* a browser may keep nothing for files */ }
    const show = () => { document.documentElement.dataset.theme = theme; byId("theme").textContent = names[theme] ?? names[""]; };
    byId("theme").addEventListener("click", () => {
      theme = order[(order.indexOf(theme) + 1) % order.length];
      try { localStorage.setItem("ptbert-theme", theme); } catch { /* as above */ }
      show();
    });
    show();
  }

  async function start() {
    byId("title").textContent = data.title;
    byId("sizes").textContent = `${layers} layers, ${most} heads`;
    byId("summary").textContent = `${data.texts.join(" ‖ ")}`;
    byId("summary").title = byId("summary").textContent;
    buildTheme();
    buildTabs();
    buildGrid();
    buildStage();
    buildNeighbours();
    document.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      state.kept = state.likeKept = false;
      if (document.activeElement?.matches("#from *, #to *")) document.activeElement.blur();
      attend(state.side, null);
      if (state.like !== null) like(state.like);
    });
    draw(showHeads, showToken);
    // A layer at a time, so that no frame waits for all of them.
    for (let layer = 0; layer < layers; layer++) {
      weights[layer] = new Uint8Array(await unpack(data.attentions[layer]));
      data.attentions[layer] = null;
      for (let head = 0; head < data.heads[layer]; head++) drawThumbnail(layer, head);
      if (state.heads.some(([shown]) => shown === layer)) draw(showLines, showToken);
      await new Promise(requestAnimationFrame);
    }
    document.documentElement.dataset.ready = "";
  }
  start();
})();
