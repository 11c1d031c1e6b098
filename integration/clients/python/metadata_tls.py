"""Gets an access token from the metadata server, and says with which scheme it asked."""

import google.auth
import google.auth.transport.requests
from google.auth.compute_engine import _mtls

schemes = set()


class Watched(google.auth.transport.requests.Request):
    def __call__(self, url, *arguments, **options):
        response = super().__call__(url, *arguments, **options)
        schemes.add(url.split(":")[0])
        return response


request = Watched()
credentials, _ = google.auth.default(request=request)
credentials.refresh(request)
print(*schemes, credentials.service_account_email, credentials.token[:9], _mtls.__name__)
