// Signs in to a service behind Identity-Aware Proxy with a headless Chromium, as a person does: opens
// the page, clicks on a user, and reads what the service shows. Prints the results as JSON; the test
// that runs it checks the values.
//
//   node browser.mjs CHROMIUM URL USER

import {chromium} from 'playwright-core';

const [executablePath, address, user] = process.argv.slice(2);
// Chromium asks servers of its own about updates, unless no name leads anywhere.
const browser = await chromium.launch({executablePath, args: ['--no-sandbox', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1']});
try {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(address);
  const signIn = new URL(page.url()).pathname;
  await page.getByRole('button', {name: user}).click();
  await page.waitForURL(address);
  const shown = await page.textContent('body');
  const [session] = (await context.cookies()).filter(({name}) => name.startsWith('GCP_IAP_AUTH_TOKEN_'));
  const script = await page.evaluate(async () => ({visible: document.cookie, status: (await fetch('/data')).status}));
  await context.clearCookies();
  const anonymous = await page.evaluate(
    async () => (await fetch('/data', {headers: {'X-Requested-With': 'XMLHttpRequest'}})).status);
  console.log(JSON.stringify({
    signIn, shown, httpOnly: session.httpOnly, sameSite: session.sameSite, visible: script.visible, status: script.status, anonymous,
  }));
} finally {
  await browser.close();
}
