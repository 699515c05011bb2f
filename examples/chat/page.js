const find = (id) => document.getElementById(id);

/** The open WebSocket; undefined outside the room. */
let socket;
let me = "";

find("join").addEventListener("submit", (event) => {
  event.preventDefault();
  me = find("name").value.trim();
  find("log").replaceChildren();
  connect();
  showRoom(true);
});

find("say").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = find("text").value.trim();
  if (!text || socket.readyState !== WebSocket.OPEN) return;
  socket.send(JSON.stringify({ type: "message", event: "say", data: { text } }));
  find("text").value = "";
});

find("leave").addEventListener("click", () => {
  const left = socket;
  socket = undefined;
  left.close();
  showState("offline");
  showRoom(false);
});

/** Browsers can send no header of their own but this list of subprotocols, so the user's name travels in it. */
function connect() {
  showState("connecting");
  const ws = new WebSocket(`${location.origin.replace("http", "ws")}/ws`, ["belfry.v1", flagOf(me)]);
  socket = ws;
  ws.addEventListener("message", ({ data }) => {
    if (ws === socket) receive(JSON.parse(data));
  });
  ws.addEventListener("close", ({ code, reason }) => {
    if (ws !== socket) return;
    // 4403 means: do not come back. After anything else a random pause keeps a crowd from coming back in step.
    if (code === 4403) return showState("offline", reason);
    showState("reconnecting");
    setTimeout(() => ws === socket && connect(), 500 + Math.random() * 1500);
  });
}

/** A name that is no legal subprotocol token travels as `u.` and the unpadded base64url of its UTF-8. */
function flagOf(name) {
  if (/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name) && !name.startsWith("u.") && name !== "belfry.v1") return name;
  const base64 = btoa(String.fromCharCode(...new TextEncoder().encode(name)));
  return `u.${base64.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`;
}

function receive({ type, event, data, ts }) {
  if (type === "welcome") showState("connected");
  if (type !== "message") return;
  if (event === "said") showSaid(data.from, data.text, new Date(ts));
  if (event === "joined" || event === "left") {
    addLine("note", make("p", `${data.name} ${event}`));
    find("here").textContent = `${data.here} here`;
  }
}

function showSaid(from, text, at) {
  const time = make("time", at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = at.toISOString();
  const head = make("p", "");
  head.append(make("b", from), " ", time);
  const line = addLine(from === me ? "own" : "other", head, make("p", text));
  line.style.setProperty("--hue", hueOf(from));
}

/** What users wrote goes into the page as text, never as HTML. */
function make(tag, text) {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

/** Follows the conversation unless somebody scrolled up to read. */
function addLine(kind, ...children) {
  const log = find("log");
  const follow = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
  const line = make("div", "");
  line.className = kind;
  line.append(...children);
  log.append(line);
  if (follow) log.scrollTop = log.scrollHeight;
  return line;
}

function showState(state, detail = "") {
  find("state").dataset.state = state;
  find("state").textContent = detail ? `${state}: ${detail}` : state;
  find("send").disabled = state !== "connected";
  if (state !== "connected") find("here").textContent = "";
}

function showRoom(inside) {
  find("join").hidden = inside;
  find("room").hidden = !inside;
  find(inside ? "text" : "name").focus();
}

/** A colour for a name, the same on every screen. */
function hueOf(name) {
  let hue = 0;
  for (const character of name) hue = (hue * 31 + character.codePointAt(0)) % 360;
  return hue;
}
