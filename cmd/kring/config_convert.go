package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// whole reads one of Kafka's whole numbers. Its errors name the value, the bounds and the
// unit.
func whole(value string, least, most int64, unit string) (int64, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	if errors.Is(err, strconv.ErrSyntax) {
		return 0, fmt.Errorf("%q is no whole number%s, such as %d", value, unit, max(least, 1))
	}
	if err != nil || n < least || n > most {
		return 0, fmt.Errorf("%s is out of range: give %d to %d%s", value, least, most, unit)
	}
	return n, nil
}

// count reads a number that the flag reads too.
func count(least, most int64) reading {
	return func(value string) (string, error) {
		n, err := whole(value, least, most, "")
		return strconv.FormatInt(n, 10), err
	}
}

// orOff has numbers up to off mean kring's default: Kafka's words for "none".
func orOff(read reading, off int64) reading {
	return func(value string) (string, error) {
		text, err := read(value)
		if n, isNumber := strconv.ParseInt(text, 10, 64); err == nil && isNumber == nil && n <= off {
			return "", nil
		}
		return text, err
	}
}

// unlessMost has the largest INT mean kring's default: Kafka's word for "no bound".
func unlessMost(read reading) reading {
	return func(value string) (string, error) {
		text, err := read(value)
		if text == strconv.Itoa(math.MaxInt32) {
			return "", err
		}
		return text, err
	}
}

// milliseconds reads a time.
func milliseconds(least int64) reading {
	return inTime(least, time.Millisecond, " of milliseconds")
}

// seconds reads a time over 0.
func seconds(value string) (string, error) { return inTime(1, time.Second, " of seconds")(value) }

func inTime(least int64, unit time.Duration, unitName string) reading {
	most := int64(math.MaxInt64 / unit)
	return func(value string) (string, error) {
		n, err := whole(value, max(least, -most), most, unitName)
		return (time.Duration(n) * unit).String(), err
	}
}

// foreverIfNegative has all negative times mean the same.
func foreverIfNegative(read reading) reading {
	return func(value string) (string, error) {
		text, err := read(value)
		if strings.HasPrefix(text, "-") {
			return "-1s", err
		}
		return text, err
	}
}

// listenerNameOf reads the name of a listener. Kafka's are in capitals.
func listenerNameOf(value string) (string, error) { return strings.ToUpper(value), nil }

// overridesPerIP reads HOST:COUNT,… .
func overridesPerIP(value string) (string, error) {
	var all []string
	for _, of := range listOf(value) {
		at := strings.LastIndexByte(of, ':')
		if at <= 0 {
			return "", fmt.Errorf("%q is not HOST:COUNT, such as 192.0.2.7:100", of)
		}
		n, err := whole(strings.TrimSpace(of[at+1:]), 0, math.MaxInt32, " of connections")
		if err != nil {
			return "", err
		}
		all = append(all, fmt.Sprintf("%s=%d", strings.TrimSpace(of[:at]), n))
	}
	return strings.Join(all, ","), nil
}

// listOf splits a list of Kafka's.
func listOf(value string) []string {
	all := strings.Split(value, ",")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// asItIs takes a value that is the flag's.
func asItIs(value string) (string, error) { return value, nil }

// storeType checks the form of a key store. It sets nothing: what a file is can be seen.
func storeType(value string) (string, error) {
	switch strings.ToUpper(value) { // as Java's KeyStore.getInstance
	case "PKCS12", "PEM", "JKS": // Java reads PKCS#12 as JKS too
		return "", nil
	}
	return "", fmt.Errorf("%q is no form that kring reads; give PKCS12 or PEM", value)
}

// checkingValidator takes the names of Kafka's classes that do what is done here anyway: look
// at the signature of a token.
func checkingValidator(value string) (string, error) {
	switch strings.TrimPrefix(value, "org.apache.kafka.common.security.oauthbearer.") {
	case "BrokerJwtValidator", "DefaultJwtValidator":
		return "", nil
	}
	return "", errors.New("classes of Java can't be loaded, and signatures are always looked at here; remove the line")
}

// onlyTrue takes the value that says what kring does anyway.
func onlyTrue(value string) (string, error) {
	if !strings.EqualFold(value, "true") {
		return "", fmt.Errorf("%q can't be had: kring always does it; remove the line", value)
	}
	return "", nil
}

// trueOrFalse is a boolean of Kafka's (ConfigDef.parseType).
func trueOrFalse(value string) (string, error) {
	if lower := strings.ToLower(value); lower == "true" || lower == "false" {
		return lower, nil
	}
	return "", fmt.Errorf("%q is neither true nor false", value)
}

// superUsersOf is super.users, whose form the flag has.
func superUsersOf(value string) (string, error) {
	if err := arePrincipals(value); err != nil {
		return "", err
	}
	return value, nil
}

// noSpaces reads a list of Kafka's, which may have spaces at its commas.
func noSpaces(value string) (string, error) {
	var words []string
	for word := range strings.SplitSeq(value, ",") {
		words = append(words, strings.TrimSpace(word))
	}
	return strings.Join(words, ","), nil
}

// fileOrURL reads a URL, of which file:///PATH is a path here.
func fileOrURL(value string) (string, error) {
	if path, ok := strings.CutPrefix(value, "file://"); ok {
		return path, nil
	}
	return value, nil
}
