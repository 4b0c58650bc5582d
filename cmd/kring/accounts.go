package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

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

// plainAccounts are those of plainUsersSetting. A file of them is read again.
type plainAccounts struct{ now atomic.Pointer[sasl.Accounts] }

func (a *plainAccounts) CheckPassword(ctx context.Context, user string, password []byte) (bool, error) {
	return a.now.Load().CheckPassword(ctx, user, password)
}

// plainAccounts reads the accounts of a value once, and has them be read again with their file.
func (a *authentication) plainAccounts(value string, again *rereads) (*plainAccounts, error) {
	if p := a.accounts[value]; p != nil {
		return p, nil
	}
	p := new(plainAccounts)
	if path, fromFile := strings.CutPrefix(value, secretFromFile); fromFile {
		again.add(reloadable{
			again: "the accounts of " + plainUsersSetting + " were read again", kept: "the accounts of " + plainUsersSetting + " stay as they were",
			watched: []string{path},
			says:    func() []any { return []any{"file", path, "accounts", p.now.Load().Len()} },
			prepare: func() (func() error, error) {
				next, err := accountsOf(value)
				return noFailure(func() { p.now.Store(next) }, err)
			},
		})
	}
	accounts, err := accountsOf(value)
	if err != nil {
		return nil, err
	}
	p.now.Store(accounts)
	if a.accounts == nil {
		a.accounts = make(map[string]*plainAccounts)
	}
	a.accounts[value] = p
	return p, nil
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
