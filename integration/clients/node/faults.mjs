// Prints the error message of Google's library for each status with which the metadata server
// refuses a token.
import {GoogleAuth} from 'google-auth-library';

const control = `${process.env.GCP_METADATA_EMULATOR_URL}/emulator/v1`;
const report = {};
for (const status of [404, 403, 500, 503]) {
  await call('POST', 'faults', {route: 'mds.token', status});
  try {
    await new GoogleAuth().getAccessToken();
    report[status] = {message: 'there is a token'};
  } catch (error) {
    report[status] = {message: error.message, status: error.status};
  }
  report[status].requests = (await call('GET', 'requests?route=mds.token')).count;
  await call('POST', 'reset');
}
await call('POST', 'faults', {route: 'mds.token', status: 503, times: 2});
report.token = await new GoogleAuth().getAccessToken();
console.log(JSON.stringify(report));

async function call(method, path, message) {
  const response = await fetch(`${control}/${path}`, {method, body: message && JSON.stringify(message)});
  if (!response.ok) {
    throw new Error(await response.text());
  }
  return response.json();
}
