# Makes a shell script of the ```sh blocks of a page (see ../docs.sh). Each command is a line
# `at LINE COMMAND`, then what runs it.

function quoted(text) {
	gsub(/'/, "'\\''", text)
	return "'" text "'"
}

function emit(command, line) {
	print "at " line " " quoted(command)
	if (command ~ /^(kring (serve|gateway)|go run \.\/cmd\/kring (serve|gateway))( |$)/) {
		sub(/[ \t]*&[ \t]*$/, "", command)
		if (!serves) print "stop_all"
		serves = 1
		print "serve " command
		return
	}
	print "{\n" command "\n} >\"$OUT\" 2>&1 </dev/null"
	print "ran"
}

BEGIN { print "source \"$root/scripts/docs/page.bash\" " quoted(page) }

!inside && /^```/ {
	inside = 1
	kind = $0
	sub(/^```/, "", kind)
	shell = kind == "sh"
	if (shell) { serves = 0; print "block" }
	if (above ~ /^<!-- file: .* -->$/) {
		name = above
		gsub(/^<!-- file: | -->$/, "", name)
		text = "write " quoted(name)
	} else if (above == "<!-- output -->") {
		text = "told"
	} else {
		text = ""
	}
	if (text != "") print text " <<'END OF BLOCK'"
	next
}

inside && /^```$/ {
	if (text != "") print "END OF BLOCK"
	if (command != "") emit(command, at)
	inside = shell = 0
	text = above = command = ""
	next
}

inside && text != "" { print; next }

shell && command == "" && /^# prints: / {
	print "prints " quoted(substr($0, 11))
	next
}

shell && (command != "" || !/^[ \t]*(#|$)/) {
	if (command == "") at = NR
	command = command (command == "" ? "" : "\n") $0
	if ($0 ~ /\\$/) next
	emit(command, at)
	command = ""
	next
}

!inside { above = $0 }

END { print "stop_all" }
