import test from 'ava';
import {renderTemplate} from '../../machine-drivers/format/template.ts';

const machine = {
  Name: 'web',
  State: 'Running',
  Active: true,
  Error: '',
  Count: 3,
  Tags: ['a', 'b'],
  None: [],
  Driver: {IPAddress: '10.0.0.5', SSHPort: 22, Labels: {z: '1', a: '2'}},
};

const renders = test.macro({
  exec(t, template: string, expected: string) {
    t.is(renderTemplate(template, machine), expected);
  },
  title: (_, template) => `renders ${JSON.stringify(template)}`,
});

test(renders, 'plain', 'plain');
test(renders, '{{.Name}}\t{{.State}}', 'web\tRunning');
test(renders, '{{ .Driver.IPAddress }}:{{.Driver.SSHPort}}', '10.0.0.5:22');
test(renders, 'a {{- .Name -}} b', 'awebb');
test(renders, 'a {{/* a remark */}}b', 'a b');
test(renders, '{{json .Tags}}', '["a","b"]');
test(renders, '{{.Driver.Labels | json}}', '{"z":"1","a":"2"}');
test(renders, '{{prettyjson .Tags}}', '[\n    "a",\n    "b"\n]');
test(renders, '{{if .Active}}yes{{else}}no{{end}}', 'yes');
test(renders, '{{if .Error}}yes{{else if eq .Count 3}}three{{else}}no{{end}}', 'three');
test(renders, '{{if and .Active (not .Error)}}fine{{end}}', 'fine');
test(renders, '{{if eq .State "Stopped" "Running"}}either{{end}}', 'either');
test(renders, '{{range .Tags}}<{{.}}>{{end}}', '<a><b>');
test(renders, '{{range $i, $tag := .Tags}}{{if $i}},{{end}}{{$tag}}{{end}}', 'a,b');
test(renders, '{{range .None}}x{{else}}empty{{end}}', 'empty');
test(renders, '{{range $key, $value := .Driver.Labels}}{{$key}}={{$value}} {{end}}', 'a=2 z=1 ');
test(renders, '{{with .Driver}}{{.SSHPort}} of {{$.Name}}{{end}}', '22 of web');
test(renders, '{{$x := .Name}}{{$x}}{{$x | printf "%-5s|"}}', 'webweb  |');
test(renders, '{{index .Tags 1}}{{len .Name}}{{index .Driver.Labels "z"}}', 'b31');
test(renders, '{{.Tags}} {{.Driver.Labels}} {{.Active}}', '[a b] map[a:2 z:1] true');
test(renders, '{{"}}"}} {{`raw`}} {{print 1 2}}', '}} raw 12');
test(renders, '{{printf "%q %d%%" .Name .Count}}', '"web" 3%');

const refuses = test.macro({
  exec(t, template: string, pattern: RegExp) {
    const error = t.throws(() => renderTemplate(template, machine), {code: 'bad-setting'});
    t.regex(error?.message ?? '', pattern);
  },
  title: (_, template) => `refuses ${JSON.stringify(template)}`,
});

test(refuses, '{{.Nmae}}', /no field "Nmae"; there is Name, State/);
test(refuses, '{{.Name', /does not end/);
test(refuses, '{{if .Name}}x', /without \{\{end\}\}/);
test(refuses, 'x{{end}}', /without a beginning/);
test(refuses, '{{shell "rm"}}', /no function "shell"/);
test(refuses, '{{.Name .State}}', /exactly one value/);
test(refuses, '{{(.Name}}', /bracket/);
test(refuses, '{{template "x"}}', /not supported/);
test(refuses, '{{$y}}', /\$y is not set/);
