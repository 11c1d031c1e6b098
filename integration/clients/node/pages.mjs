// Walks through the emulator's web page with a headless Chromium, as a person does: mints and verifies a
// token, reads why a request was refused, edits metadata, adds a fault, moves the clock, rotates keys and
// asks who may do what. Checks each page with axe-core, and takes pictures of it. Prints the results as
// JSON; the test that runs it checks the values.
//
//   node pages.mjs CHROMIUM URL scripts|none [FOLDER]
//
// With "none", the browser runs no scripts of pages. Without a folder, nothing is checked and pictured.

import {readFile} from 'node:fs/promises';
import {createRequire} from 'node:module';
import {chromium} from 'playwright-core';

const [executablePath, base, scripts, folder] = process.argv.slice(2);
const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
// Chromium asks servers of its own about updates and forms, unless no name leads anywhere.
const browser = await chromium.launch({executablePath, args: ['--no-sandbox', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1']});
const found = {};

const looks = [
  {name: 'light', colorScheme: 'light', viewport: {width: 1280, height: 800}},
  {name: 'dark', colorScheme: 'dark', viewport: {width: 1280, height: 800}},
  {name: 'phone', colorScheme: 'light', viewport: {width: 390, height: 800}},
];

const api = async (path, options) => (await fetch(`${base}/emulator/v1/${path}`, options)).json();
const metadata = path => fetch(`${base}/computeMetadata/v1/${path}`, {headers: {'Metadata-Flavor': 'Google'}});

// examine looks at the present page in each of the looks.
const examine = async (page, name) => {
  if (!folder) return;
  for (const look of looks) {
    await page.emulateMedia({colorScheme: look.colorScheme});
    await page.setViewportSize(look.viewport);
    await page.screenshot({path: `${folder}/${name}-${look.name}.png`, fullPage: true});
    await page.evaluate(axe);
    const {violations} = await page.evaluate(() => axe.run());
    for (const {id, nodes} of violations) found.violations.push(`${name}, ${look.name}: ${id}: ${nodes[0].html}`);
    if (await page.evaluate(() => document.documentElement.scrollWidth > innerWidth)) found.violations.push(`${name}, ${look.name}: too wide`);
  }
  await page.setViewportSize(looks[0].viewport);
};

const said = page => page.getByRole('status').first().innerText();

const walk = async page => {
  await page.goto(`${base}/`);
  found.home = new URL(page.url()).pathname;
  found.overview = await page.getByText('demo-project', {exact: true}).first().innerText();
  await examine(page, 'overview');

  await page.getByRole('link', {name: 'Tokens', exact: true}).click();
  await examine(page, 'tokens');
  await page.getByLabel('Audience', {exact: true}).fill('https://service.example.com');
  await page.getByRole('button', {name: 'Mint'}).click();
  found.minted = (await page.getByLabel(/^Token, until/).inputValue()).split('.').length;
  await examine(page, 'minted');
  await page.getByRole('button', {name: 'Verify it'}).click();
  found.verified = await page.getByRole('heading', {name: /^The token/}).innerText();
  await examine(page, 'verified');
  await page.getByLabel('Defect').selectOption('expired');
  await page.getByRole('button', {name: 'Mint'}).click();
  const expired = await page.getByLabel(/^Token, until/).inputValue();
  await page.getByLabel('Token', {exact: true}).fill(`Bearer ${expired}`);
  await page.getByRole('button', {name: 'Verify', exact: true}).click();
  found.refused = await page.getByRole('heading', {name: /^The token/}).innerText();
  await examine(page, 'refused');

  await page.getByRole('link', {name: 'Requests', exact: true}).click();
  await page.getByLabel('Status').fill('403');
  await page.getByRole('button', {name: 'Filter'}).click();
  await page.getByRole('link', {name: /generateIdToken/}).click();
  found.reason = await page.locator('tr.detail .note').innerText();
  await examine(page, 'requests');

  await page.getByRole('link', {name: 'Metadata', exact: true}).click();
  await page.getByLabel('Path').fill('instance/attributes/color');
  await page.getByLabel('Value', {exact: true}).fill('<blue>');
  await examine(page, 'metadata');
  await page.getByRole('button', {name: 'Set', exact: true}).click();
  found.edited = await said(page);
  found.waiters = (await api('waiters')).waiters.length;
  await page.getByRole('button', {name: 'Play'}).click();
  found.played = await said(page);

  await page.getByRole('link', {name: 'Faults and clock', exact: true}).click();
  await page.getByLabel('Route').fill('mds.token');
  await page.getByLabel('Status').fill('503');
  await page.getByRole('button', {name: 'Add', exact: true}).click();
  found.fault = await said(page);
  found.faulty = (await metadata('instance/service-accounts/default/token')).status;
  await examine(page, 'faults');
  await page.getByRole('button', {name: 'Remove mds.token'}).click();
  found.mended = (await metadata('instance/service-accounts/default/token')).status;
  const before = Date.parse((await api('clock')).now);
  await page.getByLabel('Advance by').fill('2h');
  await page.getByRole('button', {name: 'Advance'}).click();
  found.advanced = Math.floor((Date.parse((await api('clock')).now) - before) / 3_600_000);

  await page.getByRole('link', {name: 'Keys', exact: true}).click();
  const active = async () => (await api('keys')).keys.find(({use, state}) => use === 'id-token' && state === 'active').kid;
  const signing = await active();
  await page.getByRole('button', {name: 'Rotate'}).click();
  found.rotated = await active() !== signing;
  await examine(page, 'keys');

  await page.getByRole('link', {name: 'IAM', exact: true}).click();
  await page.getByLabel('Principal', {exact: true}).fill('dev@example.com');
  await page.getByLabel('Permission').fill('iam.serviceAccounts.getAccessToken');
  await page.getByRole('button', {name: 'Ask'}).click();
  found.answer = await said(page);
  found.condition = await page.getByText('Until 2040').first().innerText();
  await examine(page, 'iam');

  await page.getByRole('link', {name: 'Services', exact: true}).click();
  found.callers = await page.getByRole('row', {name: 'user:dev@example.com'}).innerText();
  await examine(page, 'services');

  await page.getByRole('link', {name: 'Clients', exact: true}).click();
  await page.getByRole('link', {name: 'fish', exact: true}).click();
  found.fish = (await page.getByLabel('Variables').innerText()).includes(`set -gx GCE_METADATA_HOST '${new URL(base).host}'`);
  await examine(page, 'clients');

  await page.goto(`${base}/device`);
  await examine(page, 'device');
  await page.goto(`${base}/o/oauth2/v2/auth?response_type=code&client_id=web&scope=email&redirect_uri=${base}/done`);
  found.signIn = await page.getByRole('button', {name: 'dev@example.com'}).count();
  await examine(page, 'sign-in');
};

// live proves what only works with scripts.
const live = async page => {
  await page.goto(`${base}/emulator/requests`);
  await page.keyboard.press('Tab');
  found.firstFocus = await page.evaluate(() => document.activeElement.textContent);
  await page.getByRole('button', {name: 'Live', pressed: true}).waitFor();
  const events = page.waitForResponse(response => response.url().endsWith('/emulator/v1/events'));
  await page.reload();
  await events;
  await metadata('instance/attributes/unheard-of');
  await page.getByRole('link', {name: /unheard-of/}).waitFor();
  found.live = true;
  await page.goto(`${base}/emulator/clients`);
  found.copyButtons = await page.getByRole('button', {name: 'Copy'}).count() > 0;
};

try {
  const context = await browser.newContext({javaScriptEnabled: scripts === 'scripts', viewport: looks[0].viewport});
  const page = await context.newPage();
  page.setDefaultTimeout(300_000);
  found.violations = [];
  found.errors = [];
  page.on('pageerror', error => found.errors.push(error.message));
  page.on('console', message => { if (message.type() === 'error' && !message.text().includes('status of 4')) found.errors.push(message.text()); });
  page.on('request', request => { if (!request.url().startsWith(base)) found.errors.push(`asks ${request.url()}`); });
  await walk(page);
  if (scripts === 'scripts') await live(page);
  console.log(JSON.stringify(found));
} finally {
  await browser.close();
}
