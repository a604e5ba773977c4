'use strict';

// Colours that people with any colour vision tell apart (Okabe and Ito), for light and dark.
const kSeriesColours = {
  light: ['#0072b2', '#d55e00', '#009e73', '#a3488f', '#b07a00', '#3c4653', '#c2185b', '#7b8794'],
  dark: ['#56b4e9', '#ff9248', '#2fd0a0', '#e29bd3', '#f0c24a', '#e6eaf0', '#ff8fb5', '#8d99a8'],
};
const kLimits = { light: '#d55e00', dark: '#ff9248' };
const kWorks = { light: '#0072b2', dark: '#56b4e9' };
const kWaits = {
  light: ['#c9d3df', '#e3d5b8', '#cfe3d6', '#e2cfe0', '#d8d8d8'],
  dark: ['#3d4a5a', '#5a4f33', '#36513f', '#553f54', '#474747'],
};

// Charts by id, so that a test can look at what they hold.
const penstockCharts = {};
const shown = JSON.parse(document.getElementById('data').textContent);
let position = shown.position;

function theme() {
  return document.documentElement.classList.contains('dark') ? 'dark' : 'light';
}

function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

// ---- numbers

// 1234567 -> "1.23 M"
function si(value) {
  const units = [[1e12, ' T'], [1e9, ' G'], [1e6, ' M'], [1e3, ' k']];
  for (const [size, unit] of units) {
    if (Math.abs(value) >= size) return digits(value / size) + unit;
  }
  return digits(value);
}

// At most three digits behind the first one that counts.
function digits(value) {
  if (value === 0) return '0';
  if (Math.abs(value) < 1e-3) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (value >= 1024 && unit + 1 < units.length) {
    value /= 1024;
    ++unit;
  }
  return digits(value) + ' ' + units[unit];
}

function percent(value) {
  return digits(100 * value) + ' %';
}

function duration(seconds) {
  if (seconds < 60) return digits(seconds) + ' s';
  const whole = Math.round(seconds);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours > 0 ? hours + ' h ' + minutes + ' min' : minutes + ' min ' + (whole % 60) + ' s';
}

function format(unit, value) {
  return unit === 'share' ? percent(value) : unit === 'bytes' ? bytes(value) : si(value);
}

// ---- the page without its charts

// All text goes in as text: samples and paths may hold anything.
function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function replaceChildren(id, children) {
  document.getElementById(id).replaceChildren(...children);
}

function card(label, value, className) {
  const made = element('div', 'card');
  made.append(element('div', 'label', label), element('div', 'value ' + (className || ''), value));
  return made;
}

function showCards(page) {
  const latest = page.latest;
  const cards = [card('status', page.state.status, page.state.status)];
  const add = (label, value, text) => {
    if (value !== null) cards.push(card(label, text(value)));
  };
  add('time', page.state.wall_seconds, duration);
  add('done', page.state.share_done, percent);
  add('tokens', page.state.tokens === null ? latest.tokens : page.state.tokens, si);
  add('last report at step', latest.step, (value) => value.toLocaleString('en'));
  add('loss', latest.loss, digits);
  add('evaluation loss', lastOf(page, 'loss', 1), digits);
  add('perplexity', latest.perplexity, digits);
  add('accuracy', latest.accuracy, percent);
  add('tokens per second', latest.tokens_per_second, si);
  add('MFU', latest.mfu, percent);
  add('GPU busy', latest.gpu_busy, percent);
  add('GPU memory', latest.gpu_memory, bytes);
  add('CPU cores used', latest.cpu_cores, digits);
  replaceChildren('cards', cards);
}

// The last point of a series; null where there is none.
function lastOf(page, id, number) {
  const chart = penstockCharts[id];
  if (!chart) return null;
  const data = chart.data.datasets[number].data;
  return data.length > 0 ? data[data.length - 1].y : null;
}

function showTexts(page) {
  const state = page.state;
  const title = state.config || 'Run';
  document.getElementById('title').textContent = title;
  document.title = title + ' - Penstock';
  const about = [];
  if (state.started_at) about.push('started ' + state.started_at);
  if (state.device) about.push('device ' + state.device);
  if (state.threads) about.push(state.threads + (state.threads === 1 ? ' thread' : ' threads'));
  document.getElementById('subtitle').textContent = about.join(' · ');
  const problems = state.warnings.map((warning) => element('p', 'problem', 'Warning: ' + warning));
  if (state.error) problems.unshift(element('p', 'problem', state.error));
  replaceChildren('problems', problems);
  replaceChildren('verdict', page.verdict.map((sentence) => element('p', '', sentence)));
}

function sampleElement(sample) {
  const made = element('div', 'sample');
  const add = (label, text, className) => {
    made.append(element('div', 'label', label), element('div', 'text ' + className, text));
  };
  add('step ' + sample.step, sample.prompt, 'prompt');
  add('predicted', sample.predicted, 'predicted');
  add('reference', sample.reference, 'reference');
  return made;
}

const kMostSamples = 50;

function addSamples(samples) {
  const box = document.getElementById('samples');
  for (const sample of samples) box.prepend(sampleElement(sample));
  while (box.children.length > kMostSamples) box.lastChild.remove();
  document.getElementById('samples-panel').hidden = box.children.length === 0;
}

// ---- charts

// In the order in which they stand on the page.
const kOrder = ['loss', 'accuracy', 'throughput', 'learning_rate', 'loss_accuracy', 'standings',
  'time_line', 'occupancy', 'gpu', 'cpu_cores', 'gpu_memory', 'gradient_norm'];

function axis(label, tickText) {
  return {
    type: 'linear',
    title: { display: true, text: label },
    ticks: { callback: tickText, maxRotation: 0, autoSkipPadding: 12, maxTicksLimit: 8 },
    grid: {},
  };
}

// Of steps or of time. A line ends at the border of its chart.
function xAxis(label) {
  const isTime = label === 'seconds';
  const made = axis(isTime ? 'time' : label, isTime ? clock : si);
  made.bounds = 'data';
  made.suggestedMin = 0;
  // The mark at the very end stands in the way of the last round one, if that is near.
  made.afterBuildTicks = (scale) => {
    const ticks = scale.ticks;
    const last = ticks.length - 1;
    if (last > 1 && ticks[last].value - ticks[last - 1].value < 0.7 * (ticks[1].value - ticks[0].value)) {
      ticks.pop();
    }
  };
  if (isTime) {
    made.beforeBuildTicks = (scale) => {
      scale.options.ticks.stepSize = timeStep((scale.max - scale.min) / Math.min(7, scale.width / 60));
    };
  }
  return made;
}

// A step of seconds, minutes, hours or days that is round, at least `least` seconds.
function timeStep(least) {
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 10800,
    21600, 43200];
  return steps.find((step) => step >= least) || 86400 * Math.ceil(least / 86400);
}

// 5 -> "5 s", 90 -> "1:30 min", 5400 -> "1:30 h"
function clock(seconds) {
  const two = (value) => String(Math.floor(value)).padStart(2, '0');
  if (seconds < 60) return digits(seconds) + ' s';
  if (seconds < 3600) return Math.floor(seconds / 60) + ':' + two(seconds % 60) + ' min';
  return Math.floor(seconds / 3600) + ':' + two((seconds % 3600) / 60) + ' h';
}

// Puts a canvas on the page and a chart on it.
function addChart(id, title, isWide, config, height) {
  const panel = element('section', 'panel' + (isWide ? ' wide' : ''));
  panel.style.order = kOrder.indexOf(id);
  panel.append(element('h2', '', title));
  const box = element('div', 'canvas');
  if (height) box.style.height = height + 'px';
  const canvas = element('canvas');
  canvas.setAttribute('role', 'img');
  canvas.setAttribute('aria-label', title);
  box.append(canvas);
  panel.append(box);
  document.getElementById('charts').append(panel);
  build(id, canvas, config);
}

function build(id, canvas, config) {
  paint(id, config);
  penstockCharts[id] = new Chart(canvas, config);
}

// Styles are taken when a chart is made, so one that is to look otherwise is made again.
function rebuild(id) {
  const { canvas, config } = penstockCharts[id];
  const { type, data, options } = config._config;
  penstockCharts[id].destroy();
  build(id, canvas, { type, data, options });
}

function options(x, y) {
  return {
    animation: false,
    responsive: true,
    maintainAspectRatio: false,
    parsing: false,
    interaction: { mode: 'nearest', axis: 'x', intersect: false },
    scales: { x, y },
    plugins: { legend: { display: false }, tooltip: {} },
  };
}

function pointsOf(series) {
  return series.x.map((x, i) => ({ x, y: series.y[i] }));
}

function addSeriesChart(chart) {
  const y = axis(chart.y_label, (value) => format(chart.unit, value));
  if (chart.id === 'occupancy' || chart.id === 'gpu') {
    y.min = 0;
    y.max = 1;
  }
  if (['throughput', 'cpu_cores', 'gpu_memory'].includes(chart.id)) y.beginAtZero = true;
  if (chart.unit === 'bytes') {
    y.beforeBuildTicks = (scale) => {
      scale.options.ticks.stepSize = 2 ** Math.ceil(Math.log2((scale.max - scale.min) / 6));
    };
  }
  const x = chart.scatter ? axis(chart.x_label, si) : xAxis(chart.x_label);
  const settings = options(x, y);
  if (chart.scatter) {
    settings.parsing = {};  // else points are taken to be in the order of x
  } else {
    settings.normalized = true;
  }
  settings.plugins.legend.display = chart.series.length > 1;
  settings.plugins.legend.labels = { boxWidth: 12, boxHeight: 2 };
  settings.plugins.legend.labels.filter = (item, data) => data.datasets[item.datasetIndex].data.length > 0;
  settings.plugins.legend.reverse = true;
  settings.plugins.tooltip.callbacks = {
    title: (items) => (items.length ? xText(chart, items[0].parsed.x) : ''),
    label: (item) => ' ' + item.dataset.label + ': ' + format(chart.unit, item.parsed.y),
  };
  addChart(chart.id, chart.title, chart.id === 'occupancy', {
    type: chart.scatter ? 'scatter' : 'line',
    data: {
      datasets: chart.series.map((series) => ({ label: series.name, data: pointsOf(series) })),
    },
    options: settings,
  });
}

function xText(chart, value) {
  return chart.x_label === 'seconds' ? 'after ' + duration(value)
    : chart.x_label + ' ' + (chart.scatter ? digits(value) : value.toLocaleString('en'));
}

function addStandingsChart(page) {
  const settings = options(
    axis('last tenth of the run against its mean', (value) => (value > 0 ? '+' : '') + digits(value) + ' %'),
    { type: 'category', grid: { display: false } });
  settings.indexAxis = 'y';
  settings.interaction = { mode: 'nearest', axis: 'y', intersect: false };
  settings.parsing = {};
  settings.plugins.tooltip.callbacks = {
    label: (item) => {
      const standing = item.dataset.standings[item.dataIndex];
      return ' lately ' + si(standing.recent) + ', mean of the run ' + si(standing.mean);
    },
  };
  addChart('standings', 'Recent performance', false, {
    type: 'bar',
    data: { labels: [], datasets: [{ data: [], standings: [] }] },
    options: settings,
  });
}

function fillStandings(page) {
  const chart = penstockCharts.standings;
  if (!chart) return;
  const set = chart.data.datasets[0];
  chart.data.labels = page.standings.map((standing) => standing.name);
  set.standings = page.standings;
  set.data = page.standings.map((standing) =>
    (standing.mean === 0 ? 0 : 100 * (standing.recent / standing.mean - 1)));
}

function addTimeLine(page) {
  const settings = options(xAxis('seconds'), {
    type: 'category',
    labels: page.time_line.map((row) => row.who),
    grid: { display: false },
    ticks: { autoSkip: false },
  });
  settings.indexAxis = 'y';
  settings.parsing = {};
  settings.interaction = { mode: 'nearest', axis: 'xy', intersect: true };
  settings.plugins.legend.display = true;
  settings.plugins.legend.labels = { boxWidth: 12, boxHeight: 12 };
  settings.plugins.tooltip.callbacks = {
    title: (items) => (items.length ? items[0].raw.y : ''),
    label: (item) => [
      ' ' + item.dataset.label + ', busy ' + percent(item.raw.busy),
      ' from ' + duration(item.raw.x[0]) + ' to ' + duration(item.raw.x[1]),
    ],
  };
  addChart('time_line', 'Who waits for whom', true,
    { type: 'bar', data: { datasets: [] }, options: settings }, 90 + 30 * page.time_line.length);
}

function addSegments(rows) {
  const chart = penstockCharts.time_line;
  if (!chart) return;
  for (const row of rows) {
    for (const segment of row.segments) {
      let set = chart.data.datasets.find((one) => one.label === segment.state);
      if (!set) {
        set = { label: segment.state, data: [], grouped: false, barPercentage: 1, categoryPercentage: 0.8 };
        chart.data.datasets.push(set);
        chart.data.datasets.sort((left, right) => rank(left.label) - rank(right.label));
        paintState(set, chart.data.datasets);
      }
      set.data.push({ x: [segment.begin, segment.end], y: row.who, busy: segment.busy });
    }
  }
}

function rank(state) {
  return state === 'limits' ? 0 : state === 'works' ? 1 : 2;
}

function hasPoints(chart) {
  return chart.series.some((series) => series.x.length > 0);
}

// Charts appear as soon as there is something in them.
function addNewCharts(page) {
  for (const chart of page.charts) {
    if (!penstockCharts[chart.id] && hasPoints(chart)) addSeriesChart(chart);
  }
  if (!penstockCharts.standings && page.standings.length > 0) addStandingsChart(page);
  if (!penstockCharts.time_line && page.time_line.length > 0) addTimeLine(page);
  const missing = page.charts.filter((chart) => !penstockCharts[chart.id]);
  document.getElementById('missing').textContent = missing.length === 0 ? '' :
    'This run has told nothing of: ' + missing.map((chart) => chart.title).join(', ') + '.';
}

// To the charts that were on the page already.
function appendPoints(page, before) {
  for (const chart of page.charts) {
    if (!before.has(chart.id)) continue;
    const sets = penstockCharts[chart.id].data.datasets;
    chart.series.forEach((series, i) => sets[i].data.push(...pointsOf(series)));
  }
}

function forgetAll() {
  for (const chart of Object.values(penstockCharts)) {
    for (const set of chart.data.datasets) set.data = [];
  }
  replaceChildren('samples', []);
}

// The most points (or bars of one colour) that a chart holds.
function mostPoints() {
  const sets = Object.values(penstockCharts).flatMap((chart) => chart.data.datasets);
  return Math.max(...sets.map((set) => set.data.length));
}

// Few points are drawn one by one.
function isSparse(config) {
  return config.data.datasets.every((set) => set.data.length <= 60);
}

function paint(id, config) {
  const mode = theme();
  const colours = kSeriesColours[mode];
  config.data.datasets.forEach((set, i) => {
    if (id === 'time_line') {
      paintState(set, config.data.datasets);
      return;
    }
    const colour = colours[i % colours.length];
    set.borderColor = colour;
    set.backgroundColor = id === 'loss_accuracy' ? colour + '99' : colour;
    set.borderWidth = id === 'standings' || id === 'loss_accuracy' ? 0 : 1.6;
    set.pointRadius = id === 'loss_accuracy' || isSparse(config) ? 2.5 : 0;
    set.pointHoverRadius = 4;
    set.maxBarThickness = 28;
    set.order = -i;  // the last one is drawn over the others
  });
  const text = css('--faint');
  for (const scale of Object.values(config.options.scales)) {
    scale.ticks = { ...scale.ticks, color: text };
    scale.grid = { ...scale.grid, color: css('--line'), borderColor: css('--line') };
    if (scale.title) scale.title.color = text;
  }
  const legend = config.options.plugins.legend;
  legend.labels = { ...legend.labels, color: css('--text') };
}

function paintState(set, all) {
  const mode = theme();
  const waits = all.filter((one) => rank(one.label) === 2).indexOf(set);
  set.backgroundColor =
    [kLimits[mode], kWorks[mode]][rank(set.label)] || kWaits[mode][waits % kWaits[mode].length];
}

function paintAll() {
  for (const id of Object.keys(penstockCharts)) rebuild(id);
}

// For those who do not see the chart: what it holds and where it ends.
function describe(id, chart) {
  const sets = chart.data.datasets.filter((set) => set.data.length > 0);
  const texts = sets.map((set) => {
    const last = set.data[set.data.length - 1];
    const end = id === 'standings' ? set.data.map((value, i) => chart.data.labels[i] + ' ' + digits(value) + ' %').join(', ')
      : id === 'time_line' ? last.y + ' until ' + digits(last.x[1])
        : digits(last.y) + ' at ' + digits(last.x);
    return (set.label || 'change') + ', ' + set.data.length + ' shown, the last one: ' + end;
  });
  chart.canvas.textContent = texts.join('; ');
}

function updateAll() {
  for (const [id, chart] of Object.entries(penstockCharts)) {
    const isOutdated =
      chart.data.datasets.some((set) => set.pointRadius === 2.5) && !isSparse(chart) &&
      id !== 'loss_accuracy';
    if (isOutdated) {
      rebuild(id);
    } else {
      chart.update('none');
    }
    describe(id, penstockCharts[id]);
  }
}

// A whole page replaces what is shown, another one is what came since. Only a whole one is thinned
// out (kMaxPoints in page_data.cpp), so when as much again has come, a whole one is due.
let crowdedFrom = 0;

function isCrowded() {
  return mostPoints() >= crowdedFrom;
}

function show(page, isWhole) {
  const before = new Set(Object.keys(penstockCharts));
  if (isWhole) forgetAll();
  addNewCharts(page);
  appendPoints(page, before);
  addSegments(page.time_line);
  fillStandings(page);
  addSamples(page.samples);
  showTexts(page);
  showCards(page);
  updateAll();
  if (isWhole) crowdedFrom = 2 * Math.max(2000, mostPoints());
}

// ---- light and dark

function setTheme(name) {
  document.documentElement.classList.toggle('dark', name === 'dark');
}

const prefersDark = window.matchMedia('(prefers-color-scheme: dark)');
setTheme(prefersDark.matches ? 'dark' : 'light');
prefersDark.addEventListener('change', (event) => {
  setTheme(event.matches ? 'dark' : 'light');
  paintAll();
});
document.getElementById('theme').addEventListener('click', () => {
  setTheme(theme() === 'dark' ? 'light' : 'dark');
  paintAll();
});

// ---- a run that goes on

const kPollMilliseconds = 2000;

function showConnectionProblem(text) {
  const id = 'connection';
  let box = document.getElementById(id);
  if (text && !box) {
    box = element('p', 'problem');
    box.id = id;
    document.getElementById('problems').before(box);
  }
  if (box) {
    box.textContent = text;
    box.hidden = !text;
  }
}

async function poll() {
  let goesOn = true;
  try {
    const isWhole = isCrowded();
    const from = ['metrics', 'occupancy', 'samples'].map((name) => name + '=' + (isWhole ? 0 : position[name]));
    const response = await fetch('data?' + from.join('&'));
    if (!response.ok) throw new Error('the server answered ' + response.status);
    const page = await response.json();
    showConnectionProblem('');
    if (page.charts[0].x_label !== shown.charts[0].x_label) location.reload();
    position = page.position;
    show(page, isWhole);
    goesOn = page.live;
  } catch (error) {
    showConnectionProblem('The run cannot be reached: it has ended, or the connection is gone. What was shown last stays.');
  }
  if (goesOn) setTimeout(poll, kPollMilliseconds);
}

show(shown, true);
if (shown.live) setTimeout(poll, kPollMilliseconds);
