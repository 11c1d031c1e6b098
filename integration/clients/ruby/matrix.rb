# Uses Google's googleauth for Ruby, unmodified, like a program that talks to Google's servers.
# Prints the results as JSON; the tests that run it check the values.
#
#   ruby matrix.rb KEY_FILE AUDIENCE TARGET WANTED...

require "googleauth"
require "json"

SCOPE = "https://www.googleapis.com/auth/cloud-platform".freeze

key_file, audience, target, *wanted = ARGV

# The library does not reveal the server's address, and can read metadata only through its own
# connection.
def metadata path
  Faraday.get("#{Google::Auth::GCECredentials::COMPUTE_CHECK_URI}/computeMetadata/v1/#{path}", nil, { "Metadata-Flavor" => "Google" }).body
end

def identity audience
  Google::Auth::GCECredentials.new(target_audience: audience).fetch_access_token!["id_token"]
end

means = {
  "metadata" => -> { metadata "project/project-id" },
  "access" => -> { Google::Auth.get_application_default(SCOPE).fetch_access_token!["access_token"] },
  "identity" => -> { identity audience },
  "key" => lambda {
    File.open(key_file) do |key|
      Google::Auth::ServiceAccountCredentials.make_creds(json_key_io: key, scope: SCOPE).fetch_access_token!["access_token"]
    end
  },
  "impersonate" => lambda {
    Google::Auth::ImpersonatedServiceAccountCredentials.make_creds(
      base_credentials:  Google::Auth.get_application_default(SCOPE),
      impersonation_url: "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/#{target}:generateAccessToken",
      scope:             SCOPE
    ).fetch_access_token!["access_token"]
  },
  "verify" => -> { Google::Auth::IDTokens.verify_oidc(identity(audience), aud: audience)["sub"] },
}

puts JSON.generate(wanted.to_h { |name| [name, means.fetch(name).call] })
