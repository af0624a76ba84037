// Asks EventBridge's own matcher. Each line of the input is {"pattern": text, "events": [text, …], "ours": [true
// or false for each event]}, pattern and events of JSON; each line of the output is {"refused": reason or null, "matches": [true or false for each event], "apart": [the same]}.
//
// What stands together in one of its machines can disturb each other. So where it disagrees with ours, "apart" asks with
// a machine for each condition, beside a rule that asks every field for a number.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import software.amazon.event.ruler.JsonRuleCompiler;
import software.amazon.event.ruler.Machine;
import software.amazon.event.ruler.MachineComplexityEvaluator;
import software.amazon.event.ruler.Patterns;

public class Peer {
  private static final int MOST_COMPLEX = 10;
  private static final ObjectMapper JSON = new ObjectMapper();

  public static void main(String[] arguments) throws Exception {
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    PrintStream out = new PrintStream(System.out, false, "UTF-8");
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      out.println(JSON.writeValueAsString(answer(JSON.readTree(line))));
    }
    out.flush();
  }

  private static ObjectNode answer(JsonNode question) {
    String pattern = question.get("pattern").asText();
    ObjectNode answer = JSON.createObjectNode();
    ArrayNode matches = answer.putArray("matches");
    ArrayNode apart = answer.putArray("apart");
    // Without overriding: a path that is named twice is refused.
    String refused = JsonRuleCompiler.check(pattern, false);
    try {
      if (refused == null) {
        Machine together = new Machine();
        List<Map<String, List<Patterns>>> each = new ArrayList<>();
        for (Map<String, List<Patterns>> rule : JsonRuleCompiler.compile(pattern)) {
          together.addPatternRule("rule", rule);
          each.addAll(singles(rule));
        }
        // The service adds this to the compiler's rules.
        int complexity = together.evaluateComplexity(new MachineComplexityEvaluator(MOST_COMPLEX + 1));
        if (complexity > MOST_COMPLEX) throw new IllegalArgumentException("Rule is too complex");
        for (JsonNode event : question.get("events")) {
          boolean ours = question.get("ours").get(matches.size()).asBoolean();
          boolean theirs = together.rulesForJSONEvent(event.asText()).contains("rule");
          matches.add(theirs);
          apart.add(ours == theirs ? theirs : matchesApart(each, event.asText()));
        }
      }
    } catch (Exception | AssertionError e) {
      // The compiler took the pattern and the machine did not.
      refused = e.toString();
    }
    answer.put("refused", refused);
    return answer;
  }

  private static boolean matchesApart(List<Map<String, List<Patterns>>> rules, String event) throws Exception {
    for (Map<String, List<Patterns>> rule : rules) {
      Machine machine = new Machine();
      machine.addPatternRule("rule", rule);
      for (String path : rule.keySet()) {
        machine.addPatternRule("other", Map.of(path, List.of(Patterns.numericEquals("12345.678"))));
      }
      if (machine.rulesForJSONEvent(event).contains("rule")) return true;
    }
    return false;
  }

  /** The rules of one condition a path that mean the same together. */
  private static List<Map<String, List<Patterns>>> singles(Map<String, List<Patterns>> rule) {
    List<Map<String, List<Patterns>>> found = List.of(Map.of());
    for (Map.Entry<String, List<Patterns>> field : rule.entrySet()) {
      List<Map<String, List<Patterns>>> next = new ArrayList<>();
      for (Map<String, List<Patterns>> before : found) {
        for (Patterns condition : field.getValue()) {
          Map<String, List<Patterns>> single = new HashMap<>(before);
          single.put(field.getKey(), List.of(condition));
          next.add(single);
        }
      }
      found = next;
    }
    return found;
  }
}
