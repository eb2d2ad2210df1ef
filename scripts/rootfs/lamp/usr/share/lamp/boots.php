<?php
// What the database and this machine say. Read only: lamp-row.service writes a row at each boot.

function rows(): array
{
    mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
    $database = new mysqli('localhost', 'www-data', null, 'lamp');
    return $database->query('SELECT * FROM boots ORDER BY number DESC LIMIT 100')->fetch_all(MYSQLI_ASSOC);
}

function first_line(string ...$files): string
{
    foreach ($files as $file) {
        $text = @file_get_contents($file);
        if ($text !== false && trim($text, "\0\n ") !== '') {
            return trim($text, "\0\n ");
        }
    }
    return '';
}

/** The interface with the default route, its MAC and its first address. */
function network(): array
{
    foreach (array_slice(file('/proc/net/route'), 1) as $line) {
        $fields = explode("\t", $line);
        if ($fields[1] === '00000000') {
            $name = $fields[0];
            $addresses = array_column(net_get_interfaces()[$name]['unicast'] ?? [], 'address');
            return [$name, first_line("/sys/class/net/$name/address"), $addresses[0] ?? ''];
        }
    }
    return ['', '', ''];
}
