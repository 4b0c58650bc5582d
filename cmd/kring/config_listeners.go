package main

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"

	"kring/engine"
	props "kring/internal/properties"
)

// listenerForm is Kafka's form of a listener: no character of the host needs a bracket.
var listenerForm = regexp.MustCompile(`^([^:/]+)://\[?([0-9a-zA-Z\-%._:]*)\]?:(-?[0-9]+)$`)

// readListeners reads the properties that say together where clients connect.
func (f *configFile) readListeners() {
	var controllers []string
	if p, there := f.in[propControllers]; there {
		controllers = listOf(strings.ToUpper(p.Value))
	}
	p, there := f.in[propListeners]
	if there && !provided.MatchString(p.Value) { // else read refuses it
		var listen []string
		for name, address := range f.endpoints(p) {
			if slices.Contains(controllers, name) {
				f.warnings = append(f.warnings, fmt.Sprintf("%s:%d: the listener %s is not opened: kring has no controller (%s)", f.path, p.Line, name, propControllers))
				continue
			}
			f.names, listen = append(f.names, name), append(listen, name+"://"+address)
		}
		if len(listen) > 0 {
			f.set(p, "listen", strings.Join(listen, ","))
		} else if len(f.faults) == 0 {
			f.fault(p, "there is no listener for clients; give one, such as PLAINTEXT://127.0.0.1:9092")
		}
	} else if own, there := f.in[ownPrefix+"listen"]; there {
		f.namesOf(own.Value)
	}
	f.readProtocols(p, controllers)
	if p, there := f.in[propAdvertised]; there {
		for name, address := range f.endpoints(p) {
			if !slices.Contains(controllers, name) {
				f.setSetting(p, name, advertiseSetting, address)
			}
		}
	}
}

// namesOf takes the names from the text of --listen.
func (f *configFile) namesOf(listen string) {
	for i, l := range strings.Split(listen, ",") {
		name, _ := splitName(strings.TrimSpace(l))
		if name == "" {
			name = defaultListenerName(i)
		}
		f.names = append(f.names, name)
	}
}

// endpoints yields names and addresses of a list, NAME://HOST:PORT,…
func (f *configFile) endpoints(p props.Property) func(func(name, address string) bool) {
	return func(yield func(name, address string) bool) {
		for _, of := range listOf(p.Value) {
			name, address, named := strings.Cut(of, "://")
			if _, unix := engine.UnixPath(address); named && unix && !strings.ContainsAny(name, ":/") {
				if !yield(strings.ToUpper(name), address) {
					return
				}
				continue
			}
			m := listenerForm.FindStringSubmatch(of)
			if m == nil {
				f.failed["listen"] = true
				f.fault(p, "%q is not NAME://HOST:PORT, such as PLAINTEXT://127.0.0.1:9092", of)
			} else if !yield(strings.ToUpper(m[1]), net.JoinHostPort(m[2], m[3])) {
				return
			}
		}
	}
}

// readProtocols gives every listener its security protocol.
func (f *configFile) readProtocols(listeners props.Property, controllers []string) {
	p, there := f.in[propProtocols]
	mapped := map[string]string{}
	for _, of := range listOf(p.Value) {
		name, protocol, ok := strings.Cut(of, ":")
		name, protocol = strings.ToUpper(strings.TrimSpace(name)), strings.ToUpper(strings.TrimSpace(protocol))
		switch {
		case !ok:
			f.fault(p, "%q is not NAME:PROTOCOL, such as INTERNAL:PLAINTEXT", of)
		case isSecurityProtocol(protocol) != nil:
			f.fault(p, "%w", isSecurityProtocol(protocol))
		default:
			mapped[name] = protocol
		}
	}
	for _, name := range f.names {
		protocol, said := mapped[strings.ToUpper(name)]
		isProtocol := isSecurityProtocol(name) == nil
		switch {
		case said && protocol != name:
			f.setSetting(p, name, securitySetting, protocol)
		case !said && there && !isProtocol:
			f.fault(listeners, "the listener %s has no protocol in %s (line %d); add %s:PLAINTEXT or another", name, propProtocols, p.Line, name)
		}
	}
}

// readSetting reads listener.name.REST.
func (f *configFile) readSetting(p props.Property, rest string) {
	listener, name, ok := strings.Cut(rest, ".")
	if !ok || listener == "" {
		f.fault(p, "give %sNAME.<property>", listenerPrefix)
		return
	}
	at := slices.IndexFunc(f.names, func(of string) bool { return strings.EqualFold(of, listener) })
	switch {
	case at >= 0:
		listener = f.names[at]
	case len(f.names) == 0:
		listener = strings.ToUpper(listener) // of --listen, or the default one
	case slices.ContainsFunc(listOf(f.in[propControllers].Value), func(of string) bool { return strings.EqualFold(of, listener) }):
		f.ignored = append(f.ignored, p.Key)
		return
	default:
		f.fault(p, "there is no listener %s; those of %s are %s", strings.ToUpper(listener), propListeners, strings.Join(f.names, ", "))
		return
	}
	if setting, own := strings.CutPrefix(name, ownPrefix); own {
		f.setSetting(p, listener, setting, strings.TrimSpace(p.Value))
		return
	}
	f.readKafkaSetting(p, listener, name)
}

func (f *configFile) readKafkaSetting(p props.Property, listener, name string) {
	if mechanism, rest, ok := strings.Cut(name, "."); ok && slices.Contains(jaasMechanisms, mechanism) {
		name = rest // Kafka's listener.name.NAME.MECHANISM.<property>
	}
	row, known := propertyNamed(name)
	remedy, refused := refusedProperties[name]
	switch {
	case refused:
		f.fault(p, "can't be used: %s", remedy)
	case known && row.setting != "" && row.read != nil:
		if text, err := row.read(strings.TrimSpace(p.Value)); err != nil {
			f.fault(p, "%w", err)
		} else if text != "" {
			f.setSetting(p, listener, row.setting, text)
		}
	case known:
		f.fault(p, "can't differ for one listener; give %s for all of them", name)
	case isIgnored(name):
		f.ignore(p)
	default:
		f.fault(p, "there is no such property%s", f.meant(name))
	}
}

// setSetting has the file say a setting of a listener, if it takes the value.
func (f *configFile) setSetting(p props.Property, listener, setting, value string) {
	for _, other := range f.settings {
		if other.listener == listener && other.setting == setting {
			f.fault(p, "%s in line %d is the same setting; remove one of the two", other.from.Key, other.from.Line)
			return
		}
	}
	var s listenerSetting
	if err := s.UnmarshalText([]byte(listener + "." + setting + "=" + value)); err != nil {
		f.failed["listener"] = true
		f.fault(p, "%w", err)
		return
	}
	f.settings = append(f.settings, fileSetting{s, p})
}
