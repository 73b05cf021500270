/* Speak sentences with flite and print when each word and phone is spoken.
 *
 * stdin,  one line each:  voice TAB duration stretch TAB wav file TAB text
 * stdout, one line each:  wav file TAB voice TAB text TAB words TAB phones
 *   words:  word:start:end, separated by spaces; phones: phone:end; times in seconds
 */
#include <flite/flite.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

cst_voice *register_cmu_us_slt(const char *);
cst_voice *register_cmu_us_rms(const char *);
cst_voice *register_cmu_us_awb(const char *);
cst_voice *register_cmu_us_kal16(const char *);

#define VOICES 4
static const char *names[VOICES] = {"slt", "rms", "awb", "kal16"};
static cst_voice *voices[VOICES];

static cst_voice *find_voice(const char *name) {
    for (int i = 0; i < VOICES; i++)
        if (!strcmp(name, names[i]))
            return voices[i];
    fprintf(stderr, "unknown voice %s\n", name);
    exit(1);
}

static void print_words(cst_utterance *utterance) {
    const char *first = "R:SylStructure.daughter1.daughter1.R:Segment.p.end";
    const char *last = "R:SylStructure.daughtern.daughtern.R:Segment.end";
    const char *separator = "";
    for (cst_item *word = relation_head(utt_relation(utterance, "Word")); word; word = item_next(word)) {
        printf("%s%s:%.3f:%.3f", separator, item_feat_string(word, "name"),
               ffeature_float(word, first), ffeature_float(word, last));
        separator = " ";
    }
}

static void print_phones(cst_utterance *utterance) {
    const char *separator = "";
    for (cst_item *phone = relation_head(utt_relation(utterance, "Segment")); phone; phone = item_next(phone)) {
        printf("%s%s:%.3f", separator, item_feat_string(phone, "name"), item_feat_float(phone, "end"));
        separator = " ";
    }
}

int main(void) {
    char line[8192];
    flite_init();
    voices[0] = register_cmu_us_slt(NULL);
    voices[1] = register_cmu_us_rms(NULL);
    voices[2] = register_cmu_us_awb(NULL);
    voices[3] = register_cmu_us_kal16(NULL);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        char *name = strtok(line, "\t"), *stretch = strtok(NULL, "\t");
        char *wav = strtok(NULL, "\t"), *text = strtok(NULL, "\t");
        if (!text) {
            fprintf(stderr, "a line has fewer than four fields\n");
            return 1;
        }
        cst_voice *voice = find_voice(name);
        feat_set_float(voice->features, "duration_stretch", atof(stretch));
        cst_utterance *utterance = flite_synth_text(text, voice);
        if (cst_wave_save_riff(utt_wave(utterance), wav) != CST_OK_FORMAT) {
            fprintf(stderr, "cannot write %s\n", wav);
            return 1;
        }
        printf("%s\t%s\t%s\t", wav, name, text);
        print_words(utterance);
        printf("\t");
        print_phones(utterance);
        printf("\n");
        fflush(stdout);
        delete_utterance(utterance);
    }
    return 0;
}
