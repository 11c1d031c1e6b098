# Google's googleauth for Ruby, unmodified, as it is used where the servers are Google's. Prints what it got as JSON; what the
# values have to be is written in the tests that run it.
#
#   ruby matrix.rb KEY_FILE AUDIENCE TARGET WANTED...

require "googleauth"
require "json"

SCOPE = "https://www.googleapis.com/auth/cloud-platform".freeze

key_file, audience, _target, *wanted = ARGV

means = {
  "metadata" => -> { Google::Auth::GCECredentials.on_gce?.to_s },
  "access" => -> { Google::Auth.get_application_default(SCOPE).fetch_access_token!["access_token"] },
  "identity" => -> { Google::Auth::GCECredentials.new(target_audience: audience).fetch_access_token!["id_token"] },
  "key" => lambda {
    File.open(key_file) do |key|
      Google::Auth::ServiceAccountCredentials.make_creds(json_key_io: key, scope: SCOPE).fetch_access_token!["access_token"]
    end
  },
}

puts JSON.generate(wanted.to_h { |name| [name, means.fetch(name).call] })
