package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"kring"
	props "kring/internal/properties"
)

// valueOf is what a property of a row becomes.
func valueOf(name, value string) (string, error) {
	p, _ := propertyNamed(name)
	return p.read(value)
}

// TestValuesOfKafkasAreConverted, with its units and its words for none.
func TestValuesOfKafkasAreConverted(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"connections.max.idle.ms", "600000", "10m0s"}, {"connections.max.idle.ms", "-1", "-1s"}, {"connections.max.idle.ms", "-9223372036854", "-1s"},
		{"quota.window.size.seconds", "5", "5s"}, {"socket.request.max.bytes", "104857600", "104857600"},
		{"socket.send.buffer.bytes", "-1", ""}, {"socket.send.buffer.bytes", "102400", "102400"}, {"queued.max.request.bytes", "-1", ""}, {"queued.max.request.bytes", "0", ""},
		{"max.connections", "2147483647", ""}, {"max.connections.per.ip", "0", "0"}, {"max.connections.per.ip", "2147483647", ""},
		{"max.connections.per.ip.overrides", "a.example:5, ::1:7,10.0.0.1:0", "a.example=5,::1=7,10.0.0.1=0"}, {"max.connections.per.ip.overrides", "", ""},
		{"inter.broker.listener.name", "internal", "INTERNAL"},
		{"sasl.oauthbearer.sub.claim.name", "client_id", "client_id"}, {"sasl.oauthbearer.expected.issuer", "https://a.example", "https://a.example"},
		{"ssl.enabled.protocols", "TLSv1.2, TLSv1.3", "TLSv1.2,TLSv1.3"}, {"ssl.cipher.suites", "A , B", "A,B"},
		{"ssl.keystore.type", "pkcs12", ""}, {"ssl.truststore.type", "pem", ""},
	} {
		if got, err := valueOf(c.name, c.value); err != nil || got != c.want {
			t.Errorf("%s=%s: %q, %v, want %q", c.name, c.value, got, err, c.want)
		}
	}
	for _, c := range []struct{ name, value, says string }{
		{"num.io.threads", "many", "no whole number"}, {"num.io.threads", "0", "give 1 to 2147483647"}, {"num.io.threads", "99999999999999999999", "out of range"},
		{"num.io.threads", "3000000000", "out of range"}, {"connections.max.idle.ms", "10m", "no whole number of milliseconds"},
		{"connections.max.idle.ms", "9223372036854775807", "out of range"}, {"quota.window.size.seconds", "0", "give 1 to"},
		{"max.connections.per.ip.overrides", "a.example", "HOST:COUNT"}, {"max.connections.per.ip.overrides", "a:x", "no whole number of connections"},
		{"max.connections.per.ip.overrides", ":5", "HOST:COUNT"},
	} {
		if got, err := valueOf(c.name, c.value); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s=%s: %q, %v, want an error with %q", c.name, c.value, got, err, c.says)
		}
	}
}

// TestEveryPropertyOfTheTableSetsAFlagThatNamesIt, and every flag whose help names one of
// Kafka's properties has a row: what is said in one place holds in the other.
func TestEveryPropertyOfTheTableSetsAFlagThatNamesIt(t *testing.T) {
	model := flagModel()
	named := regexp.MustCompile(`\[([a-z.]+\.[a-z._<>]+|listeners)\]`)
	for _, p := range properties {
		if p.read == nil && !slices.Contains(readTogether, p.name) {
			t.Errorf("%s is read by nobody, so a file that has it would set nothing", p.name)
		}
		if p.flag == "" && p.setting == "" && p.note == "" {
			t.Errorf("%s sets nothing and says nothing", p.name)
		}
		if p.flag != "" && model[p.flag] == nil {
			t.Errorf("%s: there is no --%s", p.name, p.flag)
		}
		_, ofServer := listenerSettings[p.setting]
		if _, ofProgram := programSettings[p.setting]; p.setting != "" && !ofServer && !ofProgram {
			t.Errorf("%s: a listener has no setting %s", p.name, p.setting)
		}
		if slices.Contains(ignoredProperties, p.name) || refusedProperties[p.name] != "" {
			t.Errorf("%s is in the table, and among those that are ignored or refused", p.name)
		}
	}
	for _, flag := range model {
		for _, m := range named.FindAllStringSubmatch(flag.Help, -1) {
			name := strings.TrimPrefix(m[1], "listener.name.<name>.")
			if p, known := propertyNamed(name); !known || p.flag != flag.Name && p.setting == "" {
				t.Errorf("--%s says that it is %s, and the table does not", flag.Name, m[1])
			}
		}
	}
}

// TestEveryFlagIsAPropertyOrSaysWhyNot.
func TestEveryFlagIsAPropertyOrSaysWhyNot(t *testing.T) {
	model := flagModel()
	for _, flag := range newParser(new(grammar), nil, nil).Model.Children[0].Flags {
		if model[flag.Name] == nil && flag.Name != "help" && refusedProperties[ownPrefix+flag.Name] == "" {
			t.Errorf("--%s: it is no property, and no remedy says what to give instead", flag.Name)
		}
	}
}

// textOfConfig reads a text as a configuration.
func textOfConfig(text string) *configFile { return parseConfig("f", []byte(text), testModel()) }

// testModel is made once: nothing is set in it, values are only tried on.
var testModel = sync.OnceValue(flagModel)

// TestListenersAreReadAsKafkaReadsThem.
func TestListenersAreReadAsKafkaReadsThem(t *testing.T) {
	f := textOfConfig(strings.Join([]string{
		"process.roles=broker,controller", "controller.listener.names=ctl",
		"listeners=plaintext://:9092, CTL://:9093,inside://[::1]:0,SASL_SSL://host-1.example:9094,LOCAL://unix:/run/kring.sock",
		"advertised.listeners=PLAINTEXT://example.org:9092,INSIDE://[2001:db8::1]:9095,CTL://localhost:9093",
		"listener.security.protocol.map=CTL:PLAINTEXT,PLAINTEXT:PLAINTEXT,INSIDE:SASL_PLAINTEXT,SASL_SSL:SASL_SSL,LOCAL:PLAINTEXT",
		"listener.name.inside.max.connections=7", "listener.name.Inside.connections.max.idle.ms=5000", "listener.name.plaintext.kring.pipeline=4",
		"listener.name.ctl.ssl.client.auth=required", "listener.name.inside.log.dirs=x",
	}, "\n"))
	if len(f.faults) > 0 {
		t.Fatal(f.faults)
	}
	if got, want := f.flags["listen"].text, "PLAINTEXT://:9092,INSIDE://[::1]:0,SASL_SSL://host-1.example:9094,LOCAL://unix:/run/kring.sock"; got != want {
		t.Errorf("listen is %s, want %s", got, want)
	}
	var settings []string
	for _, s := range f.settings {
		settings = append(settings, s.String())
	}
	slices.Sort(settings)
	want := []string{
		"INSIDE.advertise=[2001:db8::1]:9095", "INSIDE.idle-timeout=5s", "INSIDE.max-connections=7", "INSIDE.security=SASL_PLAINTEXT",
		"LOCAL.security=PLAINTEXT", "PLAINTEXT.advertise=example.org:9092", "PLAINTEXT.pipeline=4",
	}
	if !slices.Equal(settings, want) {
		t.Errorf("settings %q, want %q", settings, want)
	}
	if want := []string{"process.roles", "listener.name.ctl.ssl.client.auth", "listener.name.inside.log.dirs"}; !slices.Equal(f.ignored, want) {
		t.Errorf("ignored %q, want %q", f.ignored, want)
	}
	if !strings.Contains(strings.Join(f.warnings, "\n"), "f:3: the listener CTL is not opened") {
		t.Errorf("warnings %q", f.warnings)
	}
}

// TestEveryFaultOfAConfigurationNamesFileLineAndProperty, and the remedy.
func TestEveryFaultOfAConfigurationNamesFileLineAndProperty(t *testing.T) {
	for text, says := range map[string]string{
		"max.conections=1":                   "f:1:1: max.conections: there is no such property; is max.connections meant?",
		"\n  Max.Connections=1":              "f:2:3: Max.Connections: there is no such property; is max.connections meant?",
		"data-dir=x":                         "f:1:1: data-dir: there is no such property; is kring.data-dir meant?",
		"kring.datadir=x":                    "f:1:1: kring.datadir: there is no such setting; is kring.data-dir meant?",
		"kring.config=x":                     "f:1:1: kring.config: can't be used: a configuration file can't name another",
		"kring.listener=A.backlog=1":         "f:1:1: kring.listener: can't be used: give listener.name.NAME.",
		"kring.max-connections=":             "f:1:1: kring.max-connections: the value is empty",
		"kring.engine=turbo":                 "f:1:1: kring.engine: must be one of auto, io_uring, epoll, portable, not \"turbo\"",
		"kring.held-bytes=big":               "f:1:1: kring.held-bytes: \"big\" is no number of bytes",
		"entirely.unknown=1":                 "f:1:1: entirely.unknown: there is no such property",
		"num.io.threads=1\nkring.handlers=1": "f:2:1: kring.handlers: num.io.threads in line 1 is the same setting",
		"authorizer.class.name=x":            "f:1:1: authorizer.class.name: can't be used: classes of Java can't be loaded",
		"config.providers=file":              "f:1:1: config.providers: can't be used: kring has no providers",
		"max.connections=${file:/x:y}":       "f:1:1: max.connections: the value asks a provider (${…}): kring has no providers",
		"listeners=${file:/x:y}":             "f:1:1: listeners: the value asks a provider",
		"listeners=9092":                     "f:1:1: listeners: \"9092\" is not NAME://HOST:PORT",
		"listeners=A://:1":                   "",
		"listeners=A://:1\nlistener.security.protocol.map=B:SSL":                                       "f:1:1: listeners: the listener A has no protocol in listener.security.protocol.map (line 2); add A:PLAINTEXT",
		"listener.security.protocol.map=A":                                                             "f:1:1: listener.security.protocol.map: \"A\" is not NAME:PROTOCOL",
		"listener.security.protocol.map=A:TLS":                                                         "f:1:1: listener.security.protocol.map: \"TLS\" is no security protocol",
		"listeners=A://:1\nadvertised.listeners=A://0.0.0.0:1":                                         "f:2:1: advertised.listeners: ",
		"listeners=A://:1\nlistener.name.b.max.connections=1":                                          "f:2:1: listener.name.b.max.connections: there is no listener B; those of listeners are A",
		"listeners=A://:1\nlistener.name.a.num.io.threads=1":                                           "f:2:1: listener.name.a.num.io.threads: can't differ for one listener",
		"listeners=A://:1\nlistener.name.a.max.connection=1":                                           "f:2:1: listener.name.a.max.connection: there is no such property; is max.connections meant?",
		"listeners=A://:1\nlistener.name.a.max.connections=1\nlistener.name.A.kring.max-connections=1": "f:3:1: listener.name.A.kring.max-connections: listener.name.a.max.connections in line 2 is the same setting",
		"listener.name.a=1":                             "f:1:1: listener.name.a: give listener.name.NAME.<property>",
		"controller.listener.names=A\nlisteners=A://:1": "f:2:1: listeners: there is no listener for clients",
		"a=\\u12": "f:1:3: malformed",
		"sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username=\"x\" user_bob=\"hunter2\" user_al = 'user_eve=\"hunter2\"';": "f:1:1: sasl.jaas.config: Kafka reads no accounts here (al, bob): name the listener and the mechanism, listener.name.NAME.plain.sasl.jaas.config",
		"listener.name.x.gssapi.sasl.jaas.config=com.sun.security.auth.module.Krb5LoginModule required;":                                                          "kring has no Kerberos",
		"sasl.jaas.config=a.b.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"hunter2\";":                                                         "tokens that nobody has signed are never accepted",
		"sasl.jaas.config=a.b.Other required;": "Other is a class of Java",
		"sasl.jaas.config=hunter2":             "followed by no flag",
		"listener.name.x.scram-sha-256.sasl.jaas.config=a.ScramLoginModule required tokenauth=true;":                         "kring has no delegation tokens",
		"listener.name.x.scram-sha-256.sasl.jaas.config=a.ScramLoginModule required user_bob=\"hunter2\";":                   "only PlainLoginModule for the mechanism plain has accounts, and bob would be let in by nobody",
		"listener.name.x.plain.sasl.jaas.config=a.PlainLoginModule required user_bob=\"hunter2;":                             "option \"user_bob\": a text in quotes does not end",
		"listener.name.x.plain.sasl.jaas.config=a.PlainLoginModule required user_bob=\"hunter2\"":                            "not ended by a ;",
		"listener.name.x.plain.sasl.jaas.config=a.PlainLoginModule required user_bob=\"\";":                                  "the user bob has no password",
		"listener.name.x.plain.sasl.jaas.config=a.PlainLoginModule required user_al=\"x user_bob=\"hunter2\" user_c=\"y\";":  "option 2 has no value",
		"listener.name.x.plain.sasl.jaas.config=a.PlainLoginModule required user_al=\"x user_bob=\"hunter2 user_c=\"y\";":    "f:1:1: listener.name.x.plain.sasl.jaas.config: option 2 has no value",
		"ssl.keystore.key=-----BEGIN PRIVATE KEY-----\nMIIhunter2Evhunter2\nhunter2/+=\n-----END PRIVATE KEY-----\ncolour=1": "f:1:1: ssl.keystore.key: the PEM text ends with this line",
		"ssl.keystore.key=-----BEGIN PRIVATE KEY-----\nMIIhunter2Evhunter2":                                                  "f:1:1: ssl.keystore.key: the PEM text ends with this line; end each of its lines but the last with \\n\\, or name a file",
		"sasl.jaas.config=a.PlainLoginModule required user_al=\n\"hunter2\";":                                                "f:2:1: (no name of a property): there is no such property",
		"sasl.jaas.config=": "no JAAS string",
		"sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username=\"x\" password=\"hunter2\";": "",
	} {
		faults := fmt.Sprint(errorsText(textOfConfig(text).faults))
		if says == "" && faults != "" || !strings.Contains(faults, says) {
			t.Errorf("%q: %q, want %q", text, faults, says)
		}
		if strings.Contains(faults, "hunter2") && !strings.Contains(text, "=hunter2") {
			t.Errorf("%q: a secret is in %q", text, faults)
		}
	}
}

func errorsText(faults []error) string {
	var all []string
	for _, f := range faults {
		all = append(all, f.Error())
	}
	return strings.Join(all, "\n")
}

func TestALaterPropertyHoldsWithAWarning(t *testing.T) {
	f := textOfConfig("num.io.threads=3\nnum.io.threads=4")
	if f.flags["handlers"].text != "4" || len(f.faults) > 0 || len(f.warnings) != 1 || !strings.HasPrefix(f.warnings[0], "f:1: num.io.threads is there again in line 2") {
		t.Errorf("%v, faults %v, warnings %q", f.flags, f.faults, f.warnings)
	}
}

// TestWhatTellsTheScriptsSomethingIsNoMistypedSetting: the gate sets such variables for all
// that it runs, tests of the program among them, and nobody is to be warned of them.
func TestWhatTellsTheScriptsSomethingIsNoMistypedSetting(t *testing.T) {
	variable := regexp.MustCompile(`\$\{?(KRING_[A-Z_]+)|(?:Getenv|getenv)\("(KRING_[A-Z_]+)|^\s*(?:export )?(KRING_[A-Z_]+)=`)
	seen := 0
	for _, root := range []string{"../../scripts", "../../.ci", "../../internal/clients", "../../bench"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || strings.HasSuffix(path, ".gz") {
				return err
			}
			text, err := os.ReadFile(path)
			for line := range strings.Lines(string(text)) {
				for _, m := range variable.FindAllStringSubmatch(line, -1) {
					name := cmp.Or(m[1], m[2], m[3])
					seen++
					if !slices.Contains(variablesOfScripts, name) {
						t.Errorf("%s: %s is no setting, and not among variablesOfScripts", path, name)
					}
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen < 20 {
		t.Errorf("only %d variables were found", seen)
	}
}

func TestANearestNameIsFoundOrNone(t *testing.T) {
	names := []string{"KRING_DATA_DIR", "KRING_LISTEN", "KRING_LISTENER", "KRING_MAX_CONNECTIONS"}
	for typed, want := range map[string]string{
		"KRING_DATADIR": "KRING_DATA_DIR", "KRING_DATA_DRI": "KRING_DATA_DIR", "KRING_LISTENERS": "KRING_LISTENER", "KRING_LISTN": "KRING_LISTEN",
		"KRING_MAXCONNECTION": "KRING_MAX_CONNECTIONS", "KRING_COLOUR": "", "KRING_": "",
	} {
		if got := nearest(typed, names); got != want {
			t.Errorf("%s: %q, want %q", typed, got, want)
		}
	}
}

// TestTheSettingsInEffectAreShownWithTheirSource, the same each time, and secrets never.
func TestTheSettingsInEffectAreShownWithTheirSource(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f.properties")
	text := "listeners=A://127.0.0.1:0\nlistener.security.protocol.map=A:PLAINTEXT\nnum.io.threads=3\nkring.held-bytes=8KiB\nlistener.name.a.kring.pipeline=2\nzookeeper.connect=x\nlistener.name.a.max.connections=5\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	show := func() string {
		var stdout, stderr bytes.Buffer
		status := run([]string{"config", "show", "--config", file, "--max-parked", "7", "--format", "json"},
			[]string{"KRING_HANDLERS=9", "KRING_MAX_PARKED=8", "KRING_PIPELINE=3"}, &stdout, &stderr, nil)
		if status != exitOK || stderr.Len() > 0 {
			t.Fatalf("exit status %d: %s", status, stderr.String())
		}
		return stdout.String()
	}
	out := show()
	if again := show(); again != out {
		t.Errorf("it is not the same again:\n%s\n%s", out, again)
	}
	var is shownConfig
	if err := json.Unmarshal([]byte(out), &is); err != nil {
		t.Fatal(err)
	}
	by := map[string]shown{}
	for _, s := range is.Settings {
		by[s.Name] = s
	}
	for name, want := range map[string]shown{
		"max-parked":    {Value: "7", Source: "flag"},
		"handlers":      {Value: "9", Source: "environment", Where: "KRING_HANDLERS", Default: "8"},
		"pipeline":      {Value: "3", Source: "environment", Where: "KRING_PIPELINE", Default: "1"},
		"held-bytes":    {Value: "8192", Unit: "bytes", Source: "file", Where: "kring.held-bytes, " + file + ":4", Default: "262144"},
		"idle-timeout":  {Value: "10m0s", Unit: "time", Source: "default", Default: "10m"},
		"listen":        {Value: "A://127.0.0.1:0", Source: "file", Where: "listeners, " + file + ":1", Default: "127.0.0.1:9092"},
		"data-dir":      {Source: "default", Default: "memory only"},
		"handler-batch": {Value: "64", Source: "default", Default: "64"},
	} {
		got := by[name]
		if got.Value != want.Value || got.Unit != want.Unit || got.Source != want.Source || got.Where != want.Where || want.Default != "" && got.Default != want.Default {
			t.Errorf("%s is %+v, want %+v", name, got, want)
		}
	}
	if len(by) < 55 {
		t.Errorf("only %d settings", len(by))
	}
	a := is.Listeners[0]
	if len(is.Listeners) != 1 || a.Name != "A" || a.Security != "PLAINTEXT" || len(a.Settings) != 2 || a.Settings[0].Value != "5" || a.Settings[1].Where != "listener.name.a.kring.pipeline, "+file+":5" {
		t.Errorf("listeners %+v", is.Listeners)
	}
	if !slices.Equal(is.Ignored, []string{"zookeeper.connect"}) || is.File != file {
		t.Errorf("ignored %q of %s", is.Ignored, is.File)
	}
}

// TestAListenerStaysCompletedWhenTheConfigurationIsReadAgain: what its security protocol
// asks for was missing in the Config that Reconfigure got, and so would have been the bound
// on what strangers may send.
func TestAListenerStaysCompletedWhenTheConfigurationIsReadAgain(t *testing.T) {
	before := listenerParts
	t.Cleanup(func() { listenerParts = before })
	listenerParts = append(slices.Clone(before), func(_ *serveCmd, l *kring.ListenerConfig, _ securityProtocol) error {
		l.Limits.FrameBytesMaxUnauthenticated = 4096
		return nil
	})
	c := serveOf(t, "--listen", "A://127.0.0.1:0")
	l := &live{log: slog.New(slog.DiscardHandler), now: &running{c: c, cfg: c.serverConfig()}}
	if faults := c.secure(&l.now.cfg); len(faults) > 0 {
		t.Fatal(faults)
	}
	next := &running{c: serveOf(t, "--listen", "A://127.0.0.1:0", "--listen", "B://127.0.0.1:0")}
	next.cfg = next.c.serverConfig()
	if faults := next.keep(l); len(faults) > 0 {
		t.Fatal(faults)
	}
	for _, of := range next.cfg.Listeners {
		if of.Limits.FrameBytesMaxUnauthenticated != 4096 {
			t.Errorf("%s: strangers may send %d bytes, want 4096", of.Name, of.Limits.FrameBytesMaxUnauthenticated)
		}
	}
}

func FuzzConfig(f *testing.F) {
	for _, text := range []string{
		"listeners=A://:1,B://[::1]:2\nlistener.security.protocol.map=A:PLAINTEXT,B:SSL\nlistener.name.a.max.connections=3",
		"kring.engine=epoll\nmax.connections=2147483647\nconnections.max.idle.ms=-1\nlog.dirs=x", "sasl.jaas.config=a.PlainLoginModule required user_a=\"b\";", "a=${b:c}\\\n",
		"advertised.listeners=://:\nlistener.name..=\nkring.=\ncontroller.listener.names=,\nmax.connections.per.ip.overrides=:1,a:",
	} {
		f.Add([]byte(text))
	}
	model := flagModel()
	f.Fuzz(func(t *testing.T, text []byte) {
		c := parseConfig("f", text, model)
		for _, fault := range c.faults {
			if !strings.HasPrefix(fault.Error(), "f:") {
				t.Fatalf("%q names no file and line", fault)
			}
		}
		all, _ := props.Parse(text)
		hold, _ := props.Split(all)
		if said := len(c.flags) + len(c.ignored) + len(c.faults) + len(c.settings); len(hold) > 0 && said == 0 && len(hold) > silent(hold) {
			t.Fatalf("nothing came of %q", text)
		}
	})
}

// silent counts properties that may set nothing: their value is Kafka's word for the
// default, or they belong to others.
func silent(hold []props.Property) (n int) {
	for _, p := range hold {
		name := p.Key
		if rest, ok := cutPrefixFold(name, listenerPrefix); ok {
			_, name, _ = strings.Cut(rest, ".")
		}
		if row, known := propertyNamed(name); known {
			text := ""
			if !slices.Contains(readTogether, row.name) {
				text, _ = row.read(strings.TrimSpace(p.Value))
			}
			if text == "" {
				n++
			}
		}
	}
	return n
}

// TestLettersApartIsAtMostTheEditDistance.
func TestLettersApartIsAtMostTheEditDistance(t *testing.T) {
	names := slices.Concat(propertyNames(), []string{"", "a", "aa", "ab", "ba", "listenrs", "max.conections"})
	for _, a := range names {
		for _, b := range names {
			if least, is := lettersApart(a, b), editDistance(a, b); least > is {
				t.Errorf("%q and %q: %d, and the distance is %d", a, b, least, is)
			}
		}
	}
}
