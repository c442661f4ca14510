/** How both systems say that Docker answers: the same unit, the same line on the serial console. Pure. */

const dockerMarker = 'BENCH-DOCKER-ANSWERS';
export const markerUnitName = 'bench-docker.service';

/** The server's version is asked for through the socket, so that a socket alone does not count. */
export const markerUnit = `[Unit]
Description=Say on the console that Docker answers
Wants=docker.service
After=docker.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'v=$(docker version --format "{{.Server.Version}}") && echo ${dockerMarker} $v'
StandardOutput=journal+console

[Install]
WantedBy=multi-user.target
`;

/** The marker counts only with a version behind it: systemd may print the command itself. */
export const dockerAnswers = new RegExp(`${dockerMarker} \\d`);
