// Which service needs which, drawn in layers: what starts first is on the left.

const BOX = { width: 190, height: 38, gapX: 70, gapY: 14, pad: 20 };
const MAX_BOXES = 400;
const SWEEPS = 4;

// Return the boxes by layer, and the lines between them. The server refuses circles; one would end up in one layer.
function layout(services) {
  const all = store.services;
  const wanted = new Set();
  for (const service of services) {
    for (const name of service.needs ?? []) wanted.add(name).add(service.name);
  }
  const shown = [...wanted].slice(0, MAX_BOXES);
  const within = new Set(shown);
  const needs = (name) => (all.get(name)?.needs ?? []).filter((each) => within.has(each));
  const depths = new Map();
  const depthOf = (name, path = new Set()) => {
    if (depths.has(name) || path.has(name)) return depths.get(name) ?? 0;
    path.add(name);
    const depth = needs(name).reduce((deepest, each) => Math.max(deepest, depthOf(each, path) + 1), 0);
    path.delete(name);
    depths.set(name, depth);
    return depth;
  };
  const layers = [];
  for (const name of shown) (layers[depthOf(name)] ??= []).push(name);
  const neighbours = new Map(shown.map((name) => [name, needs(name).slice()]));
  for (const name of shown) for (const each of needs(name)) neighbours.get(each).push(name);
  for (const layer of layers) layer.sort();
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    const places = new Map(layers.flatMap((layer) => layer.map((name, index) => [name, index / layer.length])));
    const middle = (name) => {
      const around = neighbours.get(name);
      return around.length ? around.reduce((sum, each) => sum + places.get(each), 0) / around.length : places.get(name);
    };
    for (const layer of layers) layer.sort((a, b) => middle(a) - middle(b));
  }
  const tallest = Math.max(0, ...layers.map((layer) => layer.length));
  const boxes = new Map();
  layers.forEach((layer, column) => {
    const spare = ((tallest - layer.length) * (BOX.height + BOX.gapY)) / 2;
    layer.forEach((name, line) =>
      boxes.set(name, {
        name,
        x: BOX.pad + column * (BOX.width + BOX.gapX),
        y: BOX.pad + spare + line * (BOX.height + BOX.gapY),
      }),
    );
  });
  const lines = shown.flatMap((name) => needs(name).map((each) => [name, each]));
  return {
    boxes,
    lines,
    left: wanted.size - shown.length,
    width: 2 * BOX.pad + layers.length * (BOX.width + BOX.gapX) - BOX.gapX,
    height: 2 * BOX.pad + tallest * (BOX.height + BOX.gapY) - BOX.gapY,
  };
}

let drawn = { list: null, plan: null };

function Graph() {
  const list = visibleServices();
  if (drawn.list !== list) drawn = { list, plan: layout(list) };
  const { boxes, lines, width, height, left } = drawn.plan;
  if (!boxes.size) return html`<p class="nothing">None of these services needs another.</p>`;
  return html`<section class="graph" aria-label="Dependencies">
    <p class="tools">An arrow points to what a service needs.${left > 0 ? ` ${left} more services are not drawn: narrow the list.` : ""}</p>
    <div class="scroller" tabindex="0" role="region" aria-label="Graph of dependencies">
      <svg width=${width} height=${height} viewBox=${`0 0 ${width} ${height}`} role="group" aria-label=${`${boxes.size} services`}>
        <defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse">
          <path d="M0 0 L8 4 L0 8 z" class="tip" /></marker></defs>
        ${lines.map(([name, needed]) => {
          const from = boxes.get(name);
          const to = boxes.get(needed);
          const [x1, y1, x2, y2] = [from.x, from.y + BOX.height / 2, to.x + BOX.width + 2, to.y + BOX.height / 2];
          const bend = Math.max(30, (x1 - x2) / 2);
          const near = [name, needed].includes(store.selected);
          return html`<path key=${`${name} ${needed}`} class=${near ? "line near" : "line"} marker-end="url(#tip)"
            d=${`M${x1} ${y1} C${x1 - bend} ${y1} ${x2 + bend} ${y2} ${x2} ${y2}`} />`;
        })}
        ${[...boxes.values()].map((box) => html`<${Box} key=${box.name} box=${box} />`)}
      </svg>
    </div>
  </section>`;
}

function Box({ box }) {
  const service = store.services.get(box.name);
  const [tone, sign] = service ? toneOf(service) : ["bad", "?"];
  const word = service ? stateWord(service.state) : "does not exist";
  const name = service ? shortName(service) : box.name;
  const open = () => service && choose(box.name, "overview");
  const key = (event) => (event.key === "Enter" || event.key === " ") && (event.preventDefault(), open());
  const label = `${box.name}, ${word}${service?.needs ? `, needs ${service.needs.join(", ")}` : ""}`;
  return html`<g class=${`box ${tone} ${store.selected === box.name ? "chosen" : ""}`} transform=${`translate(${box.x} ${box.y})`}
    tabindex="0" role="button" onClick=${open} onKeyDown=${key}>
    <desc>${label}</desc>
    <rect width=${BOX.width} height=${BOX.height} rx="6" />
    <text class="sign" aria-hidden="true" x="12" y="24">${sign}</text>
    <text class="title" x="30" y="17">${name.length > 24 ? `${name.slice(0, 23)}…` : name}</text>
    <text class="word" x="30" y="31">${word}</text>
  </g>`;
}
