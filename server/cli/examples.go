package cli

// The help of flags that several commands have.
const (
	reachHelp = "How programs find the emulator: through environment variables (env), also as their proxy for host names that are compiled in (proxy), " +
		"or at the addresses of Google's servers (takeover; the emulator runs with --takeover, or exec runs in scripts/namespace)."
	instanceHelp = "Instance that programs run as: they get its metadata and, from exec, the variables of Cloud Run if it has an ingress " +
		"(default: the fixture's first instance)."
	recordingHelp = "Recorded ?recursive=true reply, in JSON, or directory that record has written, to serve unchanged as the metadata of the fixture's first instance." +
		" The recording also sets the project, the universe domain, and that instance's name and service accounts; the fixture sets everything else."
)

// The methods below return the examples in the help of commands.

func (*serveCommand) Help() string {
	return `Examples:
  gcp-metadata-emulator serve
  gcp-metadata-emulator serve --fixture world.yaml --watch
  gcp-metadata-emulator serve --listen 127.0.0.1:0 --url-file url.txt
  gcp-metadata-emulator serve --detach`
}

func (*explainCommand) Help() string {
	return `Examples:
  gcp-metadata-emulator explain`
}

func (*stopCommand) Help() string {
	return `No other process is ended.

Examples:
  gcp-metadata-emulator stop
  gcp-metadata-emulator stop --url http://127.0.0.1:41234`
}

func (*logsCommand) Help() string {
	return `The log stays for a while after the emulator has ended.

Examples:
  gcp-metadata-emulator logs
  gcp-metadata-emulator logs -f --url http://127.0.0.1:41234`
}

func (*requestsCommand) Help() string {
	return `Each line is a request; the reason and the hint of a refusal follow it. Times are by the emulator's clock.

Examples:
  gcp-metadata-emulator requests --status 4xx
  gcp-metadata-emulator requests --replica all --limit 20
  gcp-metadata-emulator requests --follow --route 'mds.*'`
}

func (*envCommand) Help() string {
	return `Examples:
  eval "$(gcp-metadata-emulator env)"
  gcp-metadata-emulator env --shell fish | source
  gcp-metadata-emulator env --shell dotenv > .env
  eval "$(gcp-metadata-emulator env --unset)"`
}

func (*credentialsCommand) Help() string {
	return `Examples:
  gcp-metadata-emulator credentials service-account --output key.json
  gcp-metadata-emulator credentials external-account --account app@demo-project.iam.gserviceaccount.com`
}

func (*tokenCommand) Help() string {
	return `Examples:
  gcp-metadata-emulator token access
  gcp-metadata-emulator token id --audience https://orders.example.com
  gcp-metadata-emulator token id --audience https://orders.example.com --defect expired`
}

func (*verifyCommand) Help() string {
	return `Examples:
  gcp-metadata-emulator verify "$TOKEN"
  gcp-metadata-emulator token id --audience orders | gcp-metadata-emulator verify --audience orders -`
}

func (*fixtureCheckCommand) Help() string {
	return `Examples:
  gcp-metadata-emulator fixture check world.yaml`
}

func (*fixtureShowCommand) Help() string {
	return `Examples:
  gcp-metadata-emulator fixture show > world.yaml
  gcp-metadata-emulator fixture show --format json world.yaml`
}

func (*fixtureSchemaCommand) Help() string {
	return `Examples:
  gcp-metadata-emulator fixture schema > fixture.schema.json`
}

func (*readyCommand) Help() string {
	return `Examples:
  gcp-metadata-emulator ready --url http://127.0.0.1:8254
  gcp-metadata-emulator ready --wait 30s`
}

func (*doctorCommand) Help() string {
	return `Examples:
  gcp-metadata-emulator doctor
  gcp-metadata-emulator exec -- gcp-metadata-emulator doctor python`
}

func (*versionCommand) Help() string {
	return `Examples:
  gcp-metadata-emulator version`
}
