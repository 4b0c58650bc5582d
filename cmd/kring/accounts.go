package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"kring/sasl"
)

// plainUsersSetting has the accounts of PLAIN of one listener, as a JAAS string or
// file:PATH of one: Kafka's listener.name.NAME.plain.sasl.jaas.config. They take the place
// of --users for PLAIN.
const plainUsersSetting = "plain-users"

func init() {
	programSettings[plainUsersSetting] = func(value string) error {
		_, err := accountsOf(value)
		return err
	}
}

const (
	plainModule = "PlainLoginModule"
	scramModule = "ScramLoginModule"
	userOption  = "user_"
)

// accountsOf reads plainUsersSetting. Its errors show names only.
func accountsOf(value string) (*sasl.Accounts, error) {
	var s secret
	if err := s.UnmarshalText([]byte(value)); err != nil {
		return nil, err
	}
	e, err := parseJAAS(s.reveal())
	if err != nil {
		return nil, err
	}
	if e.module != plainModule {
		return nil, fmt.Errorf("accounts of PLAIN are of the module %s", plainModule)
	}
	return e.accounts()
}

// accounts are the options user_NAME="PASSWORD".
func (e *jaasEntry) accounts() (*sasl.Accounts, error) {
	a := sasl.NewAccounts()
	var faults []error
	for _, o := range e.options {
		if user, is := strings.CutPrefix(o.name, userOption); is {
			if err := a.Add(user, o.value.reveal()); err != nil {
				faults = append(faults, err)
			}
		}
	}
	if len(faults) == 0 && a.Len() == 0 {
		faults = append(faults, errors.New("there are no accounts; give user_NAME=\"PASSWORD\""))
	}
	return a, errors.Join(faults...)
}

// accountNames are the names of accounts, in their order.
func (e *jaasEntry) accountNames() (names []string) {
	for _, o := range e.options {
		if user, is := strings.CutPrefix(o.name, userOption); is {
			names = append(names, user)
		}
	}
	slices.Sort(names)
	return names
}

// demandAccounts: accounts that nobody could log in by are a mistake.
func (of listenerSASL) demandAccounts(at string) error {
	if of.accounts != "" && !slices.Contains(of.mechanisms, sasl.Plain) {
		return fmt.Errorf("%s: it has accounts of PLAIN (%s), and PLAIN is none of its mechanisms; add it to --sasl, or remove the accounts", at, plainUsersSetting)
	}
	return nil
}
