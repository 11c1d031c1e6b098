// Calls a service with an ID token of the metadata server, and then with each token in the
// arguments. The service verifies each token. On Google Cloud the same program works.
import {once} from 'node:events';
import {createServer} from 'node:http';
import {GoogleAuth, OAuth2Client} from 'google-auth-library';

const audience = 'https://service.example.com';
const verifier = new OAuth2Client();

const service = createServer(async (request, response) => {
  try {
    const idToken = request.headers.authorization.replace(/^Bearer /, '');
    const ticket = await verifier.verifyIdToken({idToken, audience});
    response.end(ticket.getPayload().email);
  } catch (error) {
    response.writeHead(401).end(error.message.split('\n')[0]);
  }
}).listen(0, '127.0.0.1');
await once(service, 'listening');

const client = await new GoogleAuth().getIdTokenClient(audience);
const own = await client.idTokenProvider.fetchIdToken(audience);
for (const token of [own, ...process.argv.slice(2)]) {
  const response = await fetch(`http://127.0.0.1:${service.address().port}`, {headers: {Authorization: `Bearer ${token}`}});
  console.log(response.status, await response.text());
}
service.close();
service.closeAllConnections();
