// Words, numbers and times as people read them. Nothing here knows the page or the server.

const { h, render, Fragment } = preact;
const { useEffect, useRef, useState } = preactHooks;
const html = htm.bind(h);

const STATES = {
  running: ["good", "●"],
  connected: ["good", "●"],
  starting: ["busy", "◐"],
  stopping: ["busy", "◐"],
  waiting: ["busy", "◔"],
  retrying: ["warn", "↻"],
  auth_required: ["warn", "⚿"],
  unreachable: ["warn", "◌"],
  failed: ["bad", "▲"],
  stopped: ["idle", "■"],
  disconnected: ["idle", "■"],
  unknown: ["idle", "?"],
};

// The tone of a state, and a sign that differs without color, too.
function toneOf(service) {
  const [tone, sign] = STATES[service.state] ?? ["idle", "?"];
  if (tone === "good" && (service.health === "unhealthy" || service.failedChecks || service.problems)) {
    return ["warn", "◑"];
  }
  if (service.state === "unknown" && service.error) return ["warn", sign]; // a person is asked
  return [tone, sign];
}

const stateWord = (state) => state.replaceAll("_", " ");

const isRunning = (service) => ["running", "connected"].includes(service.state);

const GROUPS = {
  all: ["All", () => true],
  problems: ["Problems", (service) => ["bad", "warn"].includes(toneOf(service)[0])],
  changing: ["Changing", (service) => toneOf(service)[0] === "busy" || Boolean(service.operation)],
  running: ["Running", isRunning],
  stopped: ["Not running", (service) => toneOf(service)[0] === "idle"],
};

function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

function bytes(count) {
  if (count < 1024 * 1024) return `${Math.round(count / 1024)} KiB`;
  if (count < 1024 ** 3) return `${Math.round(count / 1024 ** 2)} MiB`;
  return `${(count / 1024 ** 3).toFixed(1)} GiB`;
}

const percent = (cpu) => (cpu === null || cpu === undefined ? "" : `${cpu >= 0.1 && cpu < 10 ? cpu.toFixed(1) : Math.round(cpu)} %`);

const clock = (text) => new Date(text).toLocaleTimeString([], { hour12: false });

// The address that a link may lead to: what is not http or https stays text.
function webAddress(value) {
  if (typeof value !== "string" || !/^https?:\/\//i.test(value)) return "";
  try {
    const url = new URL(value);
    return ["http:", "https:"].includes(url.protocol) ? url.href : "";
  } catch {
    return "";
  }
}

const PLACES = ["url", "connectionString", "address", "host", "port", "ports"];

// Where a service is found, in one text.
function placeOf(service) {
  const outputs = service.outputs ?? {};
  const name = PLACES.find((each) => outputs[each] !== undefined && outputs[each] !== "");
  if (!name) return "";
  return name === "port" ? `:${outputs.port}` : String(outputs[name]);
}

const valueText = (value) => (typeof value === "string" ? value : JSON.stringify(value));
const kindOf = (service) => [...new Set([service.class, service.type].filter(Boolean))].join(", ");
const isOwn = (service) => Boolean(service.class);
const shortName = (service) =>
  service.project && service.name.endsWith(`.${service.project}`)
    ? service.name.slice(0, -service.project.length - 1)
    : service.name;
