import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;

/** Prints how each part of a run went, as scripts/versions.sh reads it. */
final class Report {
    private final String client;
    private final String version;
    private final String server;

    Report(String client, String version, String server) {
        this.client = client;
        this.version = version;
        this.server = server;
    }

    /** Runs a part; what it throws is how it failed. Says whether it held. */
    boolean part(String name, Callable<?> body) {
        String how = "ok";
        try {
            body.call();
        } catch (Throwable e) {
            how = "FAIL " + text(e);
            if (System.getenv("KRING_TRACES") != null) {
                e.printStackTrace();
            }
        }
        line(name, how);
        return how.equals("ok");
    }

    /** Says that the run came to its end: without it the script counts it as failed. */
    void done() {
        line("done", "ok");
    }

    private void line(String name, String how) {
        String all = String.join("\t", "result", client, version, server, name, how.replaceAll("\\s+", " "));
        synchronized (System.out) {
            System.out.println(all);
        }
    }

    private static String text(Throwable e) {
        while (e instanceof ExecutionException && e.getCause() != null) {
            e = e.getCause();
        }
        StringBuilder text = new StringBuilder(short_(e));
        for (Throwable cause = e.getCause(); cause != null; cause = cause.getCause()) {
            text.append(" <- ").append(short_(cause));
        }
        for (StackTraceElement at : e.getStackTrace()) {
            if (at.getFileName() != null && at.getClassName().indexOf('.') < 0 && !at.getClassName().startsWith("Report")) {
                text.append(" (").append(at.getFileName()).append(':').append(at.getLineNumber()).append(')');
                break;
            }
        }
        return text.toString();
    }

    private static String short_(Throwable e) {
        return e.getClass().getSimpleName() + ": " + e.getMessage();
    }

    /** Fails a part when what was found is not what is right. */
    static void equal(String what, Object want, Object got) {
        if (!want.equals(got)) {
            throw new IllegalStateException(what + ": want " + cut(want) + ", got " + cut(got));
        }
    }

    /** Waits until what is found is what is right: some answers are right only after a moment. */
    static void becomes(String what, Object want, Callable<?> found) throws Exception {
        long end = System.currentTimeMillis() + 20_000;
        for (;;) {
            Object got = found.call();
            if (want.equals(got) || System.currentTimeMillis() > end) {
                equal(what, want, got);
                return;
            }
            Thread.sleep(20);
        }
    }

    static void must(boolean holds, String what) {
        if (!holds) {
            throw new IllegalStateException(what);
        }
    }

    private static String cut(Object o) {
        String s = String.valueOf(o);
        return s.length() <= 300 ? s : s.substring(0, 300) + "...";
    }
}
