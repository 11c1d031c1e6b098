# Uses Google's googleauth for Ruby, unmodified, with credential files that lead to the emulator.
# Prints the results as JSON; the tests that run it check the values.
#
#   ruby files.rb FILE...

require "googleauth"
require "json"
require "time"

SCOPE = "https://www.googleapis.com/auth/cloud-platform".freeze

# The token that the library gets with a file, or its error.
def token file
  credentials = File.open(file) { |key| Google::Auth::DefaultCredentials.make_creds json_key_io: key, scope: SCOPE }
  credentials.fetch_access_token!
  { value: credentials.access_token, expiry: credentials.expires_at.utc.iso8601, error: "" }
rescue StandardError => e
  { value: "", expiry: "0001-01-01T00:00:00Z", error: "#{e.class}: #{e.message}" }
end

puts JSON.generate(ARGV.to_h { |file| [File.basename(file, ".json"), token(file)] })
