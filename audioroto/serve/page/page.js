// The page: a recording goes out, words come back. Everything shown is set as text, never as markup.

const $ = (id) => document.getElementById(id);
const FORMATS = ["txt", "srt", "vtt", "json"];
const TYPES = { txt: "text/plain", srt: "application/x-subrip", vtt: "text/vtt", json: "application/json" };
const TOKEN = "audioroto-token";

let request = null; // the upload that is going on
let recording = null; // the microphone that is open
let words = []; // of the transcript: {start, end, element}, in order
let lit = -1;
let files = {}; // the transcript in each format
let url = null; // of the recording
let latest = null; // the recording that was sent last

// ── choosing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

$("choose").onclick = () => $("file").click();
$("file").onchange = () => {
  if ($("file").files.length) transcribe($("file").files[0]);
  $("file").value = "";
};

for (const kind of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    const inside = kind === "dragenter" || kind === "dragover";
    $("drop").classList.toggle("over", inside);
    if (kind === "drop" && event.dataTransfer.files.length && !recording) transcribe(event.dataTransfer.files[0]);
  });
}

$("unlock").onsubmit = (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, $("token").value);
  $("unlock").hidden = true;
  if (latest) transcribe(latest);
};

// ── sending, and reading what comes back ─────────────────────────────────────────────────────────────────────────────

function transcribe(file) {
  request?.abort();
  latest = file;
  open(file);
  const form = new FormData();
  form.append("response_format", "verbose_json");
  form.append("stream", "true");
  for (const kind of ["word", "segment"]) form.append("timestamp_granularities[]", kind);
  for (const format of FORMATS) form.append("include[]", format);
  form.append("file", file, file.name);

  const sending = new XMLHttpRequest();
  request = sending;
  let read = 0;
  sending.open("POST", "/v1/audio/transcriptions");
  const token = sessionStorage.getItem(TOKEN);
  if (token) sending.setRequestHeader("Authorization", `Bearer ${token}`);
  sending.upload.onprogress = (event) => {
    if (event.lengthComputable && event.loaded < event.total) {
      work(`Sending, ${Math.floor((100 * event.loaded) / event.total)} %`, event.loaded / event.total);
    }
  };
  sending.upload.onload = () => work("Listening …");
  sending.onprogress = () => {
    if (sending.status !== 200) return;
    const end = sending.responseText.lastIndexOf("\n\n");
    for (const line of sending.responseText.slice(read, Math.max(read, end)).split("\n\n")) {
      if (line.startsWith("data: ")) take(JSON.parse(line.slice(6)));
    }
    read = Math.max(read, end + 2);
  };
  sending.onload = () => {
    sending.onprogress();
    if (sending.status === 401) {
      fail("");
      $("unlock").hidden = false;
      $("token").focus();
    } else if (sending.status !== 200) {
      fail(explain(sending.responseText));
    }
    rest(sending);
  };
  sending.onerror = () => {
    fail("The server does not answer.");
    rest(sending);
  };
  sending.onabort = () => rest(sending);
  work("Sending …");
  sending.send(form);
}

$("cancel").onclick = () => request?.abort();

function take(event) {
  if (event.type === "transcript.text.delta") {
    const whole = $("audio").duration;
    const share = Number.isFinite(whole) && whole > 0 ? Math.min(1, event.segment.end / whole) : undefined;
    work(`Listening, ${clock(event.segment.end)} so far`, share);
    showSegment(event.words);
  } else if (event.type === "transcript.text.done") {
    files = event.files;
    $("length").textContent = `${clock(event.duration)} · ${count(event.words.length, "word")}`;
    if (!event.words.length) note("Nobody speaks in this recording, as far as can be heard.");
    $("foot").hidden = false;
  } else if (event.type === "error") {
    fail(event.error.message);
  }
}

function explain(text) {
  try {
    return JSON.parse(text).error.message;
  } catch {
    return "The server’s answer makes no sense.";
  }
}

// ── what is seen ─────────────────────────────────────────────────────────────────────────────────────────────────────

function open(file) {
  if (url) URL.revokeObjectURL(url);
  url = URL.createObjectURL(file);
  $("audio").src = url;
  $("title").textContent = file.name;
  $("length").textContent = "";
  $("problem").hidden = true;
  $("unlock").hidden = true;
  $("foot").hidden = true;
  $("audio").hidden = false;
  clear();
  $("result").hidden = false;
}

function clear() {
  $("transcript").replaceChildren();
  words = [];
  lit = -1;
  files = {};
}

function work(text, share) {
  $("work").hidden = false;
  $("status").textContent = text;
  if (share === undefined) $("progress").removeAttribute("value");
  else $("progress").value = share;
}

function rest(sending) {
  if (request === sending) {
    request = null;
    $("work").hidden = true;
  }
}

function fail(message) {
  $("problem").hidden = !message;
  $("problem").textContent = message;
  if (!words.length) $("result").hidden = true;
}

function note(text) {
  const paragraph = document.createElement("p");
  paragraph.className = "unfinished";
  paragraph.textContent = text;
  $("transcript").append(paragraph);
}

function showSegment(heard) {
  const paragraph = document.createElement("p");
  for (const one of heard) {
    const element = document.createElement("span");
    element.className = `word ${one.confidence >= 0.7 ? "sure" : one.confidence >= 0.4 ? "fair" : "unsure"}`;
    element.textContent = one.word;
    element.title = `${clock(one.start)} · confidence ${Math.round(100 * one.confidence)} %`;
    element.role = "button";
    element.tabIndex = words.length ? -1 : 0; // one of them is reached by Tab, the others by arrow keys
    element.dataset.place = words.length;
    words.push({ start: one.start, end: one.end, element });
    paragraph.append(element, " ");
  }
  $("transcript").append(paragraph);
}

const clock = (seconds) => {
  const whole = Math.floor(seconds);
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  if (!parts[0]) parts.shift();
  return parts.map((part, place) => (place ? String(part).padStart(2, "0") : part)).join(":");
};
const count = (number, thing) => `${number} ${thing}${number === 1 ? "" : "s"}`;

// ── playing along ────────────────────────────────────────────────────────────────────────────────────────────────────

function light() {
  const now = $("audio").currentTime;
  let [low, high] = [0, words.length]; // the words that began until now
  while (low < high) {
    const middle = (low + high) >> 1;
    if (words[middle].start <= now + 0.02) low = middle + 1;
    else high = middle;
  }
  const place = low - 1;
  if (place !== lit) {
    words[lit]?.element.classList.remove("lit");
    words[place]?.element.classList.add("lit");
    if (!$("audio").paused) words[place]?.element.scrollIntoView({ block: "nearest" });
    lit = place;
  }
  if (!$("audio").paused && !$("audio").ended) requestAnimationFrame(light);
}
for (const kind of ["play", "seeked", "timeupdate"]) $("audio").addEventListener(kind, light);

function jump(element) {
  $("audio").currentTime = words[element.dataset.place].start;
  $("audio").play().catch(() => {}); // the recording may be of a kind that this browser cannot play
  focus(element);
}

function focus(element) {
  for (const one of $("transcript").querySelectorAll("[tabindex='0']")) one.tabIndex = -1;
  element.tabIndex = 0;
  element.focus();
}

$("transcript").onclick = (event) => {
  const element = event.target.closest("[data-place]");
  if (element) jump(element);
};
$("transcript").onkeydown = (event) => {
  const element = event.target.closest("[data-place]");
  if (!element) return;
  const place = Number(element.dataset.place);
  const next = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: words.length - 1 }[event.key];
  if (event.key === "Enter" || event.key === " ") jump(element);
  else if (words[next]) focus(words[next].element);
  else return;
  event.preventDefault();
};

for (const button of $("downloads").querySelectorAll("button")) {
  button.onclick = () => {
    const format = button.dataset.format;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([files[format]], { type: TYPES[format] }));
    link.download = `${$("title").textContent.replace(/\.[^.]*$/, "")}.${format}`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };
}

// ── speaking: words while one speaks, then the recording like any other ──────────────────────────────────────────────

$("record").onclick = async () => {
  if (recording) return recording.stop();
  $("record").disabled = true; // while the browser asks, a second click would open a second microphone
  await record().catch((error) => fail(`No microphone: ${error.message}`));
  $("record").disabled = false;
};

async function record() {
  request?.abort();
  if (!navigator.mediaDevices) throw new Error("browsers lend it to pages at localhost or https only");
  const microphone = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
  const context = new AudioContext();
  await context.audioWorklet.addModule("/recorder.js");
  const recorder = new AudioWorkletNode(context, "recorder");
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/v1/audio/stream`);
  const chunks = [];
  const token = sessionStorage.getItem(TOKEN) ?? "";
  socket.onopen = () => {
    socket.send(JSON.stringify({ type: "start", sample_rate: context.sampleRate, token }));
    for (const chunk of chunks) socket.send(chunk);
  };
  const live = showLive();
  socket.onmessage = (message) => live(JSON.parse(message.data));
  recorder.port.onmessage = ({ data }) => {
    chunks.push(data);
    if (socket.readyState === WebSocket.OPEN) socket.send(data);
    $("length").textContent = clock((chunks.length * data.length) / context.sampleRate);
  };
  context.createMediaStreamSource(microphone).connect(recorder);
  setRecording({
    async stop() {
      setRecording(null);
      for (const track of microphone.getTracks()) track.stop();
      const rate = context.sampleRate;
      await context.close();
      socket.onmessage = null;
      socket.close();
      if (chunks.length) transcribe(new File([makeWav(chunks, rate)], "recording.wav", { type: "audio/wav" }));
    },
  });
}

function setRecording(now) {
  recording = now;
  $("record").setAttribute("aria-pressed", String(Boolean(now)));
  $("record-label").textContent = now ? "Stop" : "Record";
  $("choose").disabled = Boolean(now);
}

function showLive() {
  clear();
  $("audio").hidden = true;
  $("foot").hidden = true;
  $("problem").hidden = true;
  $("title").textContent = "Recording";
  $("result").hidden = false;
  let line = null; // of the utterance that is going on
  return (message) => {
    if (message.type === "error") fail(message.error.message);
    if (message.type !== "partial" && message.type !== "final") return;
    if (!line) $("transcript").append((line = document.createElement("p")));
    line.textContent = message.text;
    line.className = message.type === "final" ? "" : "unfinished";
    if (message.type === "final") line = null;
    $("transcript").scrollTop = $("transcript").scrollHeight;
  };
}

function makeWav(chunks, rate) {
  const numBytes = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
  const header = new DataView(new ArrayBuffer(44));
  const write = (place, text) => [...text].forEach((letter, i) => header.setUint8(place + i, letter.charCodeAt(0)));
  write(0, "RIFF");
  header.setUint32(4, 36 + numBytes, true);
  write(8, "WAVEfmt ");
  header.setUint32(16, 16, true);
  header.setUint16(20, 1, true); // PCM
  header.setUint16(22, 1, true); // channel
  header.setUint32(24, rate, true);
  header.setUint32(28, 2 * rate, true);
  header.setUint16(32, 2, true);
  header.setUint16(34, 16, true);
  write(36, "data");
  header.setUint32(40, numBytes, true);
  return new Blob([header, ...chunks]);
}
