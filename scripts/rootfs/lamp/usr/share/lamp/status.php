<?php
// The same as the page, for programs. 503 while the database is not there yet.

require __DIR__ . '/boots.php';
header('Content-Type: application/json');
header('Cache-Control: no-store');
[$interface, $mac, $address] = network();
$status = [
    'source' => 'system',
    'model' => first_line('/sys/firmware/devicetree/base/model', '/sys/class/dmi/id/product_name'),
    'serial' => first_line('/sys/firmware/devicetree/base/serial-number'),
    'hostname' => gethostname(),
    'kernel' => php_uname('r'),
    'cpus' => substr_count((string) shell_exec('cat /proc/cpuinfo'), "processor\t:"),
    'interface' => $interface,
    'mac' => $mac,
    'address' => $address,
];
try {
    $rows = rows();
    $now = array_column($rows, null, 'kernel_boot')[first_line('/proc/sys/kernel/random/boot_id')] ?? [];
    $status += [
        'node_id' => $now['node_id'] ?? '',
        'boot_id' => $now['boot_id'] ?? '',
        'boots' => (int) ($rows[0]['number'] ?? 0),
        'rows' => $rows,
    ];
} catch (mysqli_sql_exception $error) {
    http_response_code(503);
    $status += ['error' => $error->getMessage()];
}
echo json_encode($status, JSON_UNESCAPED_SLASHES), "\n";
