// Receives Eventferry's webhooks: Java 11 or newer, nothing to install, no build.
//
//   WEBHOOK_SECRETS="whsec_…" java Receiver.java 8080 /var/lib/receiver
//
// While you change secrets, WEBHOOK_SECRETS holds both, with a space between them. The folder remembers what was handled.

import com.sun.net.httpserver.Headers;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.Executors;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

public class Receiver {
    static final long TOLERANCE = 5 * 60; // seconds that a request may be old, or ahead
    static final int LARGEST = 4 * 1024 * 1024; // bytes
    static final Set<String> underWay = ConcurrentHashMap.newKeySet();

    /** Your part, with the JSON library of your choice. Throw if it did not work: the event then comes again later. */
    static void handle(String json) throws Exception {
        System.out.println("handled " + json);
    }

    /** Whether this was signed with one of our secrets, and lately. */
    static boolean isGenuine(Headers headers, byte[] body, List<byte[]> secrets) throws Exception {
        String id = headers.getFirst("webhook-id"), timestamp = headers.getFirst("webhook-timestamp");
        String signatures = headers.getFirst("webhook-signature");
        // The id becomes a file's name below.
        if (id == null || timestamp == null || signatures == null
                || !id.matches("[A-Za-z0-9_-]{1,64}") || !timestamp.matches("[0-9]{1,12}")) return false;
        if (Math.abs(Instant.now().getEpochSecond() - Long.parseLong(timestamp)) > TOLERANCE) return false;
        for (byte[] secret : secrets) {
            Mac mac = Mac.getInstance("HmacSHA256");
            mac.init(new SecretKeySpec(secret, "HmacSHA256"));
            mac.update((id + "." + timestamp + ".").getBytes(StandardCharsets.UTF_8));
            byte[] ours = ("v1," + Base64.getEncoder().encodeToString(mac.doFinal(body))).getBytes();
            for (String theirs : signatures.split(" ")) {
                if (MessageDigest.isEqual(ours, theirs.getBytes())) return true;
            }
        }
        return false;
    }

    static int receive(HttpExchange exchange, List<byte[]> secrets, Path seen) throws Exception {
        if (!exchange.getRequestMethod().equals("POST")) return 405;
        byte[] body = exchange.getRequestBody().readNBytes(LARGEST + 1);
        if (body.length > LARGEST) return 413;
        if (!isGenuine(exchange.getRequestHeaders(), body, secrets)) return 401;
        return handleOnce(exchange.getRequestHeaders().getFirst("webhook-id"), body, seen);
    }

    static int handleOnce(String id, byte[] body, Path seen) throws Exception {
        if (!underWay.add(id)) return 503; // it came again while we are still at it
        try {
            Path mark = seen.resolve(id);
            if (Files.exists(mark)) return 204; // a repeat: it was handled, only our answer was lost
            handle(new String(body, StandardCharsets.UTF_8));
            // Killed just here, we would handle it twice. A database can do both in one transaction.
            Files.createFile(mark);
            return 204;
        } finally {
            underWay.remove(id);
        }
    }

    public static void main(String[] arguments) throws Exception {
        List<byte[]> secrets = new ArrayList<>();
        for (String secret : System.getenv("WEBHOOK_SECRETS").trim().split("\\s+")) {
            secrets.add(Base64.getDecoder().decode(secret.substring("whsec_".length())));
        }
        Path seen = Files.createDirectories(Path.of(arguments[1]));
        InetSocketAddress address =
                new InetSocketAddress(InetAddress.getLoopbackAddress(), Integer.parseInt(arguments[0]));
        HttpServer server = HttpServer.create(address, 0);
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.createContext("/", exchange -> {
            int status = 500;
            try {
                status = receive(exchange, secrets, seen);
            } catch (Exception error) {
                System.out.println("failed " + error);
            }
            exchange.sendResponseHeaders(status, -1);
            exchange.close();
        });
        server.start();
    }
}
