package uring

import "reflect"

// SettingOf is the key of Set for each field of Config that has one, by the field's
// name: a program whose users know keys can put them into the errors of Validate
// and New.
func SettingOf() map[string]string {
	var c Config
	keys := map[string]string{}
	v := reflect.ValueOf(&c).Elem()
	for _, s := range settings {
		at := reflect.ValueOf(s.field(&c)).Pointer()
		for i := range v.NumField() {
			if v.Field(i).Addr().Pointer() == at && v.Field(i).Type() == reflect.TypeOf(s.field(&c)).Elem() {
				keys[v.Type().Field(i).Name] = s.key
			}
		}
	}
	return keys
}
